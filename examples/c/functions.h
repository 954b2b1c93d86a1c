/* Activations and losses, each beside its derivative. ct_x is dLoss/dx.
 *
 * What saturates (a sigmoid, a softmax, and the logarithm of either) is computed without overflow, and a cross-entropy
 * from the logits z, not from probabilities that have rounded to 0 or 1. Compiled with -DREAL=float, all is float32.
 */
#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <tgmath.h> /* exp and tanh of a float are computed in float */

#ifndef REAL
#define REAL double
#endif
typedef REAL real;

/* Activations that act on each unit alone: a = f(z), and f'(z) */

typedef struct {
    real z, a;      /* the derivative finds both, the value only z */
    real parameter; /* of f: the slope of leaky_relu, the alpha of elu, the beta of softplus */
    real at_zero;   /* f'(0), where f has a kink */
} Unit;

static real identity(Unit u) { return u.z; }
static real identity_derivative(Unit u) { return (void)u, 1; }

static real logistic(real z) { return z > 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z)); }

static real sigmoid(Unit u) { return logistic(u.z); }
static real sigmoid_derivative(Unit u) { return u.a * (1 - u.a); }

static real tangent(Unit u) { return tanh(u.z); }
static real tangent_derivative(Unit u) { return 1 - u.a * u.a; }

static real sided(Unit u, real left, real right) { return u.z > 0 ? right : u.z < 0 ? left : u.at_zero; }
static real at_kink(Unit u, real left) { return sided(u, left, 1); }

static real relu(Unit u) { return u.z > 0 ? u.z : 0; }
static real relu_derivative(Unit u) { return at_kink(u, 0); }

static real leaky_relu(Unit u) { return u.z > 0 ? u.z : u.parameter * u.z; }
static real leaky_relu_derivative(Unit u) { return at_kink(u, u.parameter); }

static real elu(Unit u) { return u.z > 0 ? u.z : u.parameter * expm1(u.z); }
static real elu_derivative(Unit u) { return at_kink(u, u.parameter * exp(u.z)); }

/* the parameter is that of elu, times SELU_SCALE */
static const real SELU_SCALE = (real)1.0507009873554804934;
static const double SELU_LEFT = 1.7580993408473768599;
static real selu(Unit u) { return u.z > 0 ? SELU_SCALE * u.z : u.parameter * expm1(u.z); }
static real selu_derivative(Unit u) { return sided(u, u.parameter * exp(u.z), SELU_SCALE); }

static real celu(Unit u) { return u.z > 0 ? u.z : u.parameter * expm1(u.z / u.parameter); }
static real celu_derivative(Unit u) { return u.z > 0 ? 1 : exp(u.z / u.parameter); }

/* log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)); softplus(-z) is -log sigmoid(z) */
static real log_of_sum(real z) { return (z > 0 ? z : 0) + log1p(exp(-fabs(z))); }

static real softplus(Unit u) { return log_of_sum(u.parameter * u.z) / u.parameter; }
static real softplus_derivative(Unit u) { return logistic(u.parameter * u.z); }

static real silu(Unit u) { return u.z * logistic(u.z); }
static real silu_derivative(Unit u) { return logistic(u.z) * (1 + u.z * logistic(-u.z)); }

/* z times a logistic function of u, whose derivative is `slope` */
static real gated_derivative(real z, real u, real slope) { return logistic(u) * (1 + z * logistic(-u) * slope); }

static const real QUICK = (real)1.702;
static real quick_gelu(Unit u) { return u.z * logistic(QUICK * u.z); }
static real quick_gelu_derivative(Unit u) { return gated_derivative(u.z, QUICK * u.z, QUICK); }

/* (1 + tanh(u)) / 2 is the logistic function of 2u, 2u = 2 sqrt(2 / pi) (z + 0.044715 z^3) */
static const real GELU_RATE = (real)1.59576912160573071176, GELU_CUBIC = (real)0.044715;
static real gelu_argument(real z) { return GELU_RATE * (z + GELU_CUBIC * z * z * z); }
static real gelu_tanh(Unit u) { return u.z * logistic(gelu_argument(u.z)); }
static real gelu_tanh_derivative(Unit u)
{
    return gated_derivative(u.z, gelu_argument(u.z), GELU_RATE * (1 + 3 * GELU_CUBIC * u.z * u.z));
}

static real mish(Unit u) { return u.z * tanh(log_of_sum(u.z)); }
static real mish_derivative(Unit u)
{
    real gate = tanh(log_of_sum(u.z));
    return gate + u.z * logistic(u.z) * (1 - gate * gate);
}

static real softsign(Unit u) { return u.z / (1 + fabs(u.z)); }
static real softsign_derivative(Unit u) { return 1 / ((1 + fabs(u.z)) * (1 + fabs(u.z))); }

static real sine(Unit u) { return sin(u.z); }
static real sine_derivative(Unit u) { return cos(u.z); }
static real cosine(Unit u) { return cos(u.z); }
static real cosine_derivative(Unit u) { return -sin(u.z); }

static real bell(Unit u) { return exp(-u.z * u.z); }
static real bell_derivative(Unit u) { return -2 * u.z * u.a; }

static real normal_distribution(real z) { return erfc(-z * (real)0.70710678118654752440) / 2; }
static real normal_density(real z) { return exp(-z * z / 2) * (real)0.39894228040143267794; }

static real gelu(Unit u) { return u.z * normal_distribution(u.z); }
static real gelu_derivative(Unit u) { return normal_distribution(u.z) + u.z * normal_density(u.z); }

/* softmax, which acts on a row: exp(z - z_top) is 1 for the largest logit, and `rest` for the others together */

typedef struct {
    size_t top;
    real rest;
} Shifted;

/* Of all logits but the one at `left_out`. */
static Shifted shifted_without(const real *z, size_t count, size_t left_out)
{
    Shifted s = {left_out == 0 && count > 1 ? 1 : 0, 0};
    for (size_t k = 0; k < count; k++)
        if (k != left_out && z[k] > z[s.top])
            s.top = k;
    for (size_t k = 0; k < count; k++)
        if (k != left_out && k != s.top)
            s.rest += exp(z[k] - z[s.top]);
    return s;
}

static Shifted shifted(const real *z, size_t count) { return shifted_without(z, count, count); }

static real softmax_of(Shifted s, const real *z, size_t k) { return exp(z[k] - z[s.top]) / (1 + s.rest); }

static void softmax(const real *z, real *a, size_t count)
{
    Shifted s = shifted(z, count);
    for (size_t k = 0; k < count; k++)
        a[k] = softmax_of(s, z, k);
}

/* Of da_i/dz_j = a_i ([i = j] - a_j): the cotangent of z, in place of that of a. */
static void softmax_derivative(const real *a, real *ct, size_t count)
{
    real mean = 0;
    for (size_t k = 0; k < count; k++)
        mean += a[k] * ct[k];
    for (size_t k = 0; k < count; k++)
        ct[k] = a[k] * (ct[k] - mean);
}

typedef struct {
    const char *name;
    real (*value)(Unit); /* NULL for softmax */
    real (*derivative)(Unit);
    const char *parameter; /* its name, or NULL */
    double usual;          /* value of the parameter */
    bool has_kink;         /* at z = 0, where the derivative is that of the left side unless a case says another */
} Activation;

static const Activation ACTIVATIONS[] = {
    {"identity", identity, identity_derivative, NULL, 0, false},
    {"sigmoid", sigmoid, sigmoid_derivative, NULL, 0, false},
    {"tanh", tangent, tangent_derivative, NULL, 0, false},
    {"relu", relu, relu_derivative, NULL, 0, true},
    {"leaky_relu", leaky_relu, leaky_relu_derivative, "slope", 0.01, true},
    {"elu", elu, elu_derivative, "alpha", 1, true},
    {"selu", selu, selu_derivative, NULL, SELU_LEFT, true},
    {"celu", celu, celu_derivative, "alpha", 1, false},
    {"prelu", leaky_relu, leaky_relu_derivative, "slope", 0.25, true},
    {"softplus", softplus, softplus_derivative, "beta", 1, false},
    {"silu", silu, silu_derivative, NULL, 0, false},
    {"gelu", gelu, gelu_derivative, NULL, 0, false},
    {"gelu_tanh", gelu_tanh, gelu_tanh_derivative, NULL, 0, false},
    {"quick_gelu", quick_gelu, quick_gelu_derivative, NULL, 0, false},
    {"mish", mish, mish_derivative, NULL, 0, false},
    {"softsign", softsign, softsign_derivative, NULL, 0, false},
    {"sin", sine, sine_derivative, NULL, 0, false},
    {"cos", cosine, cosine_derivative, NULL, 0, false},
    {"gaussian", bell, bell_derivative, NULL, 0, false},
    {"softmax", NULL, NULL, NULL, 0, false},
};

/* Losses: the sum of the terms of one sample is returned, and `ct` becomes its derivative: by the outputs o or, where
 * the loss is one of probabilities and named after what makes them, by the logits z that they are made from. */

typedef real LossFunction(const real *from, const real *targets, size_t count, real *ct);

static real squared_error(const real *o, const real *t, size_t count, real *ct)
{
    real sum = 0;
    for (size_t k = 0; k < count; k++) {
        ct[k] = 2 * (o[k] - t[k]);
        sum += (o[k] - t[k]) * (o[k] - t[k]);
    }
    return sum;
}

static real absolute_error(const real *o, const real *t, size_t count, real *ct)
{
    real sum = 0;
    for (size_t k = 0; k < count; k++) {
        ct[k] = (real)((o[k] > t[k]) - (o[k] < t[k]));
        sum += fabs(o[k] - t[k]);
    }
    return sum;
}

/* log cosh x = |x| + log(1 + exp(-2 |x|)) - log 2, and where that cancels log(1 + 2 sinh(x / 2)^2) */
static real log_cosh(const real *o, const real *t, size_t count, real *ct)
{
    real sum = 0;
    for (size_t k = 0; k < count; k++) {
        real x = fabs(o[k] - t[k]), half = x < 1 ? sinh(x / 2) : 0;
        ct[k] = tanh(o[k] - t[k]);
        sum += x < 1 ? log1p(2 * half * half) : x + log1p(exp(-2 * x)) - (real)0.69314718055994530942;
    }
    return sum;
}

/* Margins: max(0, 1 - t o) of targets -1 and 1 */
static real hinge(const real *o, const real *t, size_t count, real *ct)
{
    real sum = 0;
    for (size_t k = 0; k < count; k++) {
        ct[k] = t[k] * o[k] < 1 ? -t[k] : 0;
        sum += t[k] * o[k] < 1 ? 1 - t[k] * o[k] : 0;
    }
    return sum;
}

/* and max(0, 1 + o - o of the class) of the other classes, of targets that are 1 once */
static real multiclass_hinge(const real *o, const real *t, size_t count, real *ct)
{
    real sum = 0, of_class = 0, counted = 0;
    for (size_t k = 0; k < count; k++)
        of_class += t[k] * o[k];
    for (size_t k = 0; k < count; k++) {
        ct[k] = 1 + o[k] > of_class ? 1 - t[k] : 0;
        sum += ct[k] * (1 + o[k] - of_class);
        counted += ct[k];
    }
    for (size_t k = 0; k < count; k++)
        ct[k] -= t[k] * counted;
    return sum;
}

/* 0 log 0 is 0 */
static real times(real t, real x) { return t == 0 ? 0 : t * x; }

/* -t log p - (1 - t) log(1 - p), p = sigmoid(z); the derivative is p - t */
static real sigmoid_binary(const real *z, const real *t, size_t count, real *ct)
{
    real sum = 0;
    for (size_t k = 0; k < count; k++) {
        ct[k] = logistic(z[k]) - t[k];
        sum += times(t[k], log_of_sum(-z[k])) + times(1 - t[k], log_of_sum(z[k]));
    }
    return sum;
}

/* -t log p, p = softmax(z); the derivative is p - t if targets sum to 1 */
static real softmax_categorical(const real *z, const real *t, size_t count, real *ct)
{
    Shifted s = shifted(z, count);
    real sum = 0, whole = 0;
    for (size_t k = 0; k < count; k++)
        whole += t[k];
    for (size_t k = 0; k < count; k++) {
        ct[k] = softmax_of(s, z, k) * whole - t[k];
        sum += times(t[k], log1p(s.rest) + (z[s.top] - z[k]));
    }
    return sum;
}

/* t log t, which the divergences have besides */
static real certainty(const real *t, size_t count)
{
    real sum = 0;
    for (size_t k = 0; k < count; k++)
        sum += t[k] > 0 ? t[k] * log(t[k]) : 0;
    return sum;
}

static real softmax_divergence(const real *z, const real *t, size_t count, real *ct)
{
    return softmax_categorical(z, t, count, ct) + certainty(t, count);
}

/* The other pairs, which are rare */

/* -t log p, p = sigmoid(z); the derivative is -t / p times p (1 - p) */
static real sigmoid_categorical(const real *z, const real *t, size_t count, real *ct)
{
    real sum = 0;
    for (size_t k = 0; k < count; k++) {
        ct[k] = -t[k] * logistic(-z[k]);
        sum += times(t[k], log_of_sum(-z[k]));
    }
    return sum;
}

static real sigmoid_divergence(const real *z, const real *t, size_t count, real *ct)
{
    return sigmoid_categorical(z, t, count, ct) + certainty(t, count);
}

/* -t log p - (1 - t) log q, p = softmax(z), q = 1 - p; the derivative by z_i is
 * (1 - t_i) p_i - t_i q_i + sum over the other k of t_k p_i - (1 - t_k) p_k p_i / q_k. The q of the largest logit may
 * round to 0, but p_i / q is finite: it is a softmax without that logit. */
static real softmax_binary(const real *z, const real *t, size_t count, real *ct)
{
    Shifted all = shifted(z, count), others = shifted_without(z, count, all.top);
    real sum = 0;
    for (size_t i = 0; i < count; i++) {
        bool top = i == all.top;
        real p = softmax_of(all, z, i), log_sum = log1p(all.rest);
        real minus_log_q = top ? log_sum - log1p(others.rest) + (z[i] - z[others.top]) : -log1p(-p);
        sum += times(t[i], log_sum + (z[all.top] - z[i])) + times(1 - t[i], minus_log_q);
        ct[i] = (1 - t[i]) * p - t[i] * (top ? all.rest / (1 + all.rest) : 1 - p);
        for (size_t k = 0; k < count; k++) {
            real p_k = softmax_of(all, z, k);
            if (k != i)
                ct[i] += t[k] * p - (1 - t[k]) * p_k * (k == all.top ? softmax_of(others, z, i) : p / (1 - p_k));
        }
    }
    return sum;
}

typedef struct {
    const char *name;
    LossFunction *of_outputs;
    LossFunction *of_sigmoid, *of_softmax; /* where that is NULL: of the logits of the last layer, by its activation */
} Loss;

static const Loss LOSSES[] = {
    {"squared_error", squared_error, NULL, NULL},
    {"absolute_error", absolute_error, NULL, NULL},
    {"log_cosh", log_cosh, NULL, NULL},
    {"hinge", hinge, NULL, NULL},
    {"multiclass_hinge", multiclass_hinge, NULL, NULL},
    {"softmax_kl_divergence", softmax_divergence, NULL, NULL},
    {"kl_divergence", NULL, sigmoid_divergence, softmax_divergence},
    {"sigmoid_cross_entropy", sigmoid_binary, NULL, NULL},
    {"softmax_cross_entropy", softmax_categorical, NULL, NULL},
    {"binary_cross_entropy", NULL, sigmoid_binary, softmax_binary},
    {"categorical_cross_entropy", NULL, sigmoid_categorical, softmax_categorical},
};

#endif
