/* Reads a case (docs/reference/oracle.md): the network of mlp.h, its loss, parameters and data, with room for what is computed.
 *
 * What is no case is refused by `fail`. What is well said but not known here makes `read_case` return NULL, and
 * `reason` says why.
 */
#ifndef CASE_H
#define CASE_H

#include <float.h>
#include <setjmp.h>

#include "json.h"
#include "mlp.h"

enum { MAX_SIZE = 1000000 };

static jmp_buf without_case;
static char reason[96];

/* The reason; `name` is shown if it is such as the names here, and could not be taken for anything else. */
static void say(const char *why, const char *name)
{
    enum { SHOWN = 40 };
    bool plain = strlen(name) <= SHOWN && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
    snprintf(reason, sizeof reason, "%s%s", why, plain ? name : "of that name");
}

static _Noreturn void not_supported(const char *why, const char *name)
{
    say(why, name);
    longjmp(without_case, 1);
}

/* Fields and numbers */

static const Json *required(const Json *object, const char *key, JsonKind kind)
{
    const Json *field = json_field(object, key);
    if (field == NULL)
        fail("expected the field ", key);
    if (field->kind != kind)
        fail("expected another type of the field ", key);
    return field;
}

static double number_or(const Json *object, const char *key, double otherwise)
{
    return json_field(object, key) == NULL ? otherwise : required(object, key, JSON_NUMBER)->number;
}

static real to_real(double number, const char *key)
{
    if (sizeof(real) == sizeof(float) && fabs(number) > FLT_MAX)
        fail("expected numbers that a float can hold in ", key);
    return (real)number;
}

static void read_row(const Json *row, size_t length, const char *key, real *numbers)
{
    if (row->kind != JSON_LIST || row->count != length)
        fail("expected the lengths that the sizes say in ", key);
    for (const Json *item = row->first; item != NULL; item = item->next) {
        if (item->kind != JSON_NUMBER)
            fail("expected numbers in ", key);
        *numbers++ = to_real(item->number, key);
    }
}

static real *read_vector(const Json *object, const char *key, size_t length)
{
    const Json *list = required(object, key, JSON_LIST);
    if (list->first != NULL && list->first->kind == JSON_LIST)
        not_supported("no biases that are rows of a matrix", "");
    if (list->count != length) /* before memory is taken */
        fail("expected the length that the sizes say of ", key);
    real *vector = allocate(length, sizeof(real));
    read_row(list, length, key, vector);
    return vector;
}

static real *read_matrix(const Json *object, const char *key, size_t rows, size_t columns)
{
    const Json *list = required(object, key, JSON_LIST);
    if (list->count != rows)
        fail("expected the number of rows that the sizes say of ", key);
    for (const Json *row = list->first; row != NULL; row = row->next)
        if (row->count != columns)
            fail("expected the lengths that the sizes say in ", key);
    real *matrix = allocate(rows, columns * sizeof(real)), *place = matrix;
    for (const Json *row = list->first; row != NULL; row = row->next, place += columns)
        read_row(row, columns, key, place);
    return matrix;
}

/* The first field of an object that is not among the known ones, whose list ends with NULL; NULL where all are. */
static const char *first_other_field(const Json *object, const char *const known[])
{
    for (const Json *field = object->first; field != NULL; field = field->next) {
        size_t k = 0;
        while (known[k] != NULL && strcmp(field->key, known[k]) != 0)
            k++;
        if (known[k] == NULL)
            return field->key;
    }
    return NULL;
}

/* The network */

static size_t read_size(const Json *number)
{
    if (number->kind != JSON_NUMBER || !(number->number >= 1 && number->number <= MAX_SIZE)
        || number->number != floor(number->number))
        fail("expected sizes that are integers from 1 to 1000000", "");
    return (size_t)number->number;
}

static const Activation *find_activation(const Json *name)
{
    if (name->kind != JSON_STRING)
        fail("expected the name of an activation", "");
    for (size_t k = 0; k < sizeof ACTIVATIONS / sizeof *ACTIVATIONS; k++)
        if (json_is_text(name, ACTIVATIONS[k].name))
            return &ACTIVATIONS[k];
    not_supported("no activation ", name->text);
}

static bool takes(const Activation *activation, const char *key)
{
    if (strcmp(key, "at_zero") == 0)
        return activation->has_kink;
    return strcmp(key, "name") == 0 || (activation->parameter != NULL && strcmp(key, activation->parameter) == 0);
}

/* From a name, or from an object such as {"name": "leaky_relu", "slope": 0.02, "at_zero": 1}. */
static void read_activation(const Json *said, Layer *layer)
{
    const Json *name = said->kind == JSON_OBJECT ? required(said, "name", JSON_STRING) : said;
    const Activation *activation = find_activation(name);
    for (const Json *field = said->first; field != NULL; field = field->next)
        if (!takes(activation, field->key))
            fail("unknown parameter of an activation: ", field->key);
    double parameter = activation->usual;
    if (activation->parameter != NULL)
        parameter = number_or(said, activation->parameter, parameter);
    layer->activation = activation;
    layer->parameter = to_real(parameter, "activations");
    layer->at_zero = to_real(number_or(said, "at_zero", parameter), "activations"); /* left of 0, f' is `parameter` */
}

static void read_layer(const Json *said, size_t samples, Layer *layer)
{
    size_t fan_in = layer->fan_in, fan_out = layer->fan_out;
    const Json *bias = json_field(said, "bias");
    layer->weights = read_matrix(said, "weights", fan_in, fan_out);
    layer->ct_weights = allocate(fan_in, fan_out * sizeof(real)); /* no more than was read */
    if (bias != NULL && bias->kind != JSON_NULL) {
        layer->bias = read_vector(said, "bias", fan_out);
        layer->ct_bias = allocate(fan_out, sizeof(real));
    }
    layer->z = allocate(fan_out, sizeof(real));
    layer->a = allocate(fan_out, sizeof(real));
    layer->ct_z = allocate(samples, fan_out * sizeof(real));
}

static Layer *read_layers(const Json *document, size_t depth, size_t samples)
{
    const Json *network = required(document, "network", JSON_OBJECT);
    const Json *sizes = required(network, "sizes", JSON_LIST), *activations = json_field(network, "activations");
    bool each_its_own = activations != NULL && activations->kind == JSON_LIST;
    if (depth == 0 || sizes->count != depth + 1)
        fail("expected one size more than layers in params", "");
    if (activations == NULL || (each_its_own && activations->count != depth))
        fail("expected one activation, or one per layer", "");

    Layer *layers = allocate(depth, sizeof(Layer));
    const Json *size = sizes->first, *activation = each_its_own ? activations->first : activations;
    const Json *layer = required(document, "params", JSON_LIST)->first;
    for (size_t l = 0; l < depth; l++) {
        layers[l].fan_in = read_size(size);
        layers[l].fan_out = read_size(size->next);
        read_activation(activation, &layers[l]);
        read_layer(layer, samples, &layers[l]);
        layer = layer->next;
        size = size->next;
        activation = each_its_own ? activation->next : activation;
    }
    return layers;
}

/* The loss */

static const Loss *find_loss(const Json *kind)
{
    for (size_t k = 0; k < sizeof LOSSES / sizeof *LOSSES; k++)
        if (json_is_text(kind, LOSSES[k].name))
            return &LOSSES[k];
    not_supported("no loss ", kind->text);
}

static LossFunction *loss_after(const Loss *loss, const Activation *last)
{
    if (loss->of_outputs != NULL)
        return loss->of_outputs;
    if (last->value == sigmoid)
        return loss->of_sigmoid;
    if (last->value == NULL)
        return loss->of_softmax;
    fail("expected sigmoid or softmax before ", loss->name);
}

static bool is_reduced(const Json *loss, const char *reduction, const char *how)
{
    const Json *field = json_field(loss, reduction);
    bool known = json_is_text(field, "sum") || json_is_text(field, "mean");
    if (strcmp(reduction, "over_samples") == 0)
        known = known || json_is_text(field, "batch_mean");
    if (field != NULL && !known)
        fail("expected sum or mean for ", reduction);
    return json_is_text(field, how);
}

/* The weights of the samples, 1 each where the case says none; `sum` becomes theirs, `count` that of those not 0. */
static const double *read_weights(const Json *document, size_t samples, double *sum, size_t *count)
{
    static const char KEY[] = "sample_weights";
    double *weights = allocate(samples, sizeof *weights);
    const Json *list = json_field(document, KEY) == NULL ? NULL : required(document, KEY, JSON_LIST);
    if (list != NULL && list->count != samples)
        fail("expected one number per sample in ", KEY);
    const Json *item = list == NULL ? NULL : list->first;
    *sum = 0;
    *count = 0;
    for (size_t n = 0; n < samples; n++, item = item == NULL ? NULL : item->next) {
        if (item != NULL && (item->kind != JSON_NUMBER || item->number < 0))
            fail("expected numbers that are not negative in ", KEY);
        weights[n] = item == NULL ? 1 : item->number;
        *sum += weights[n];
        *count += weights[n] > 0;
    }
    if (!(*sum > 0))
        fail("expected numbers that are not all 0 in ", KEY);
    return weights;
}

/* What the loss of each sample is multiplied by. */
static const real *read_coefficients(const Json *document, const Json *loss, size_t samples, size_t outputs)
{
    size_t count;
    double sum, scale = number_or(loss, "scale", 1);
    const double *weights = read_weights(document, samples, &sum, &count);
    real *coefficients = allocate(samples, sizeof(real));
    double divisor = is_reduced(loss, "over_samples", "mean") ? sum : 1;
    if (is_reduced(loss, "over_samples", "batch_mean"))
        divisor = (double)count;
    if (is_reduced(loss, "over_outputs", "mean"))
        scale /= (double)outputs;
    for (size_t n = 0; n < samples; n++)
        coefficients[n] = to_real(scale * (weights[n] / divisor), "scale");
    return coefficients;
}

static real read_penalty(const Json *loss, const char *key)
{
    real factor = to_real(number_or(loss, key, 0), key);
    if (factor < 0)
        fail("expected a number that is not negative for ", key);
    return factor;
}

static void read_loss(const Json *document, const Json *said, Case *asked)
{
    static const char *const KNOWN[] = {"kind", "over_samples", "over_outputs", "scale",
                                        "l2",   "l2_on_bias",   "l1",           NULL};
    const Layer *last = &asked->layers[asked->depth - 1];
    const Loss *loss = find_loss(required(said, "kind", JSON_STRING));
    asked->loss = loss_after(loss, last->activation);
    asked->fused = loss->of_outputs == NULL;
    asked->coefficients = read_coefficients(document, said, asked->samples, last->fan_out);
    const char *other = first_other_field(said, KNOWN);
    if (other != NULL)
        not_supported("no option ", other);
    asked->l2 = read_penalty(said, "l2");
    asked->l1 = read_penalty(said, "l1");
    const Json *on_bias = json_field(said, "l2_on_bias");
    if (on_bias != NULL && on_bias->kind != JSON_TRUE && on_bias->kind != JSON_FALSE)
        fail("expected true or false for ", "l2_on_bias");
    asked->l2_on_bias = on_bias != NULL && on_bias->kind == JSON_TRUE;
}

/* The case */

static void require_format(const Json *document, const char *format)
{
    const Json *version = json_field(document, "version");
    if (!json_is_text(json_field(document, "format"), format))
        fail("expected a document of the format ", format);
    if (version == NULL || version->number != 1)
        fail("expected version 1", "");
}

static void require_known_fields(const Json *document)
{
    static const char *const KNOWN[] = {"format", "version", "name",    "dtype",          "network",    "loss",
                                        "params", "inputs",  "targets", "sample_weights", "ct_outputs", NULL};
    const char *other = first_other_field(document, KNOWN);
    if (other != NULL)
        not_supported("no field ", other);
}

/* A case, not solved yet; NULL where it is of a kind that is not known here. */
static Case *read_case(const Json *document)
{
    require_format(document, "functional-mlp/case");
    if (setjmp(without_case) != 0)
        return NULL;
    require_known_fields(document);
    Case *asked = allocate(1, sizeof *asked);
    asked->depth = required(document, "params", JSON_LIST)->count;
    asked->samples = required(document, "inputs", JSON_LIST)->count;
    if (asked->samples == 0)
        fail("expected at least one sample", "");
    asked->layers = read_layers(document, asked->depth, asked->samples);
    size_t n_inputs = asked->layers->fan_in, n_outputs = asked->layers[asked->depth - 1].fan_out;
    bool has_loss = json_field(document, "loss") != NULL;
    if (has_loss)
        read_loss(document, required(document, "loss", JSON_OBJECT), asked);
    asked->inputs = read_matrix(document, "inputs", asked->samples, n_inputs);
    asked->wanted = read_matrix(document, has_loss ? "targets" : "ct_outputs", asked->samples, n_outputs);
    asked->outputs = allocate(asked->samples, n_outputs * sizeof(real));
    asked->ct_inputs = allocate(asked->samples, n_inputs * sizeof(real));
    return asked;
}

#endif
