/* Update rules: plain descent, momentum in its forms, and Adam, with and without a decay. RMSprop is not here.
 *
 * Of each parameter p, whose gradient is g, a rule keeps two numbers from step to step, which are 0 before the first.
 */
#ifndef RULES_H
#define RULES_H

#include "case.h"

typedef struct Rule Rule;
typedef real Step(const Rule *rule, real number, real p, real g, real kept[2]);

struct Rule {
    Step *step;
    real rate, decay, momentum, dampening, beta1, beta2, epsilon;
    bool dampen_first, nesterov, rate_inside;                             /* of momentum */
    bool epsilon_inside, epsilon_uncorrected, bias_correction, decoupled; /* of Adam */
};

static real descent(const Rule *rule, real number, real p, real g, real kept[2])
{
    (void)number, (void)kept;
    return p - rule->rate * (g + rule->decay * p);
}

/* v = mu v + g, p - rate v; Nesterov's goes on by p - rate (g + mu v) */
static real momentum(const Rule *rule, real number, real p, real g, real kept[2])
{
    g += rule->decay * p;
    real pushed = number > 1 || rule->dampen_first ? (1 - rule->dampening) * g : g;
    if (rule->rate_inside) {
        kept[0] = rule->momentum * kept[0] - rule->rate * pushed;
        return p + (rule->nesterov ? rule->momentum * kept[0] - rule->rate * g : kept[0]);
    }
    kept[0] = rule->momentum * kept[0] + pushed;
    return p - rule->rate * (rule->nesterov ? g + rule->momentum * kept[0] : kept[0]);
}

/* m and v are averages of g and g^2; p - rate m / (sqrt(v) + epsilon), both corrected for beginning at 0 */
static real adam(const Rule *rule, real number, real p, real g, real kept[2])
{
    if (!rule->decoupled)
        g += rule->decay * p;
    kept[0] = rule->beta1 * kept[0] + (1 - rule->beta1) * g;
    kept[1] = rule->beta2 * kept[1] + (1 - rule->beta2) * g * g;
    real mean = kept[0], square = kept[1], epsilon = rule->epsilon;
    if (rule->bias_correction) {
        real lack = 1 - pow(rule->beta2, number);
        mean /= 1 - pow(rule->beta1, number);
        square /= lack;
        epsilon = rule->epsilon_uncorrected ? epsilon / sqrt(lack) : epsilon;
    }
    real root = rule->epsilon_inside ? sqrt(square + epsilon) : sqrt(square) + epsilon;
    return p - rule->rate * (mean / root) - (rule->decoupled ? rule->rate * rule->decay * p : 0);
}

static const struct {
    const char *name;
    Step *step;
} STEPS[] = {
    {"descent", descent}, {"momentum", momentum}, {"nesterov", momentum}, {"adam", adam}, {"adamw", adam},
};

static bool is_true(const Json *said, const char *key)
{
    const Json *field = json_field(said, key);
    return field != NULL && field->kind == JSON_TRUE;
}

/* False where the rule is not known here, and `reason` says so. */
static bool read_rule(const Json *said, Rule *rule)
{
    const Json *name = required(said, "name", JSON_STRING);
    *rule = (Rule){.rate = to_real(number_or(said, "learning_rate", 0), "learning_rate"),
                   .decay = to_real(number_or(said, "weight_decay", 0), "weight_decay"),
                   .momentum = to_real(number_or(said, "momentum", 0), "momentum"),
                   .dampening = to_real(number_or(said, "dampening", 0), "dampening"),
                   .beta1 = to_real(number_or(said, "beta1", 0), "beta1"),
                   .beta2 = to_real(number_or(said, "beta2", 0), "beta2"),
                   .epsilon = to_real(number_or(said, "epsilon", 0), "epsilon"),
                   .dampen_first = is_true(said, "dampen_first"),
                   .nesterov = is_true(said, "nesterov"),
                   .rate_inside = is_true(said, "rate_inside"),
                   .epsilon_inside = is_true(said, "epsilon_inside"),
                   .epsilon_uncorrected = is_true(said, "epsilon_uncorrected"),
                   .bias_correction = is_true(said, "bias_correction"),
                   .decoupled = is_true(said, "decoupled")};
    for (size_t k = 0; k < sizeof STEPS / sizeof *STEPS; k++)
        if (json_is_text(name, STEPS[k].name))
            rule->step = STEPS[k].step;
    if (rule->step == NULL)
        say("no update rule ", name->text);
    return rule->step != NULL;
}

static void step_all(const Rule *rule, real number, real *params, real *gradient, size_t count, real *kept)
{
    for (size_t i = 0; i < count; i++) {
        params[i] = rule->step(rule, number, params[i], gradient[i], &kept[2 * i]);
        gradient[i] = 0; /* the next ones are added to it */
    }
}

/* Takes steps on all samples, each from a case that has been solved, and solves it again between them. */
static void train(Case *solved, const Rule *rule, size_t steps)
{
    real **kept = allocate(2 * solved->depth, sizeof *kept);
    for (size_t l = 0; l < solved->depth; l++) {
        kept[2 * l] = allocate(2 * solved->layers[l].fan_in, solved->layers[l].fan_out * sizeof(real));
        kept[2 * l + 1] = allocate(2, solved->layers[l].fan_out * sizeof(real));
    }
    for (size_t number = 1; number <= steps; number++) {
        if (number > 1)
            solve(solved);
        for (size_t l = 0; l < solved->depth; l++) {
            const Layer *layer = &solved->layers[l];
            size_t n_weights = layer->fan_in * layer->fan_out;
            step_all(rule, (real)number, layer->weights, layer->ct_weights, n_weights, kept[2 * l]);
            if (layer->bias != NULL)
                step_all(rule, (real)number, layer->bias, layer->ct_bias, layer->fan_out, kept[2 * l + 1]);
        }
    }
}

#endif
