/* Reads cases (docs/oracle.md) from standard input and answers each with a line of gradients on standard output.
 *
 *     gcc -O2 main.c -o mlp -lm                       float64
 *     gcc -O2 -DREAL=float main.c -o mlp -lm          float32
 *     gcc -O2 -DMISTAKE main.c -o mistaken -lm        with a common mistake, to see it named
 *
 * A case of another kind than mlp.h computes is answered "unsupported". Input that is no case is refused with a sentence
 * on standard error and exit status 1.
 */
#include <float.h>
#include <setjmp.h>

#include "json.h"
#include "mlp.h"

enum { MAX_SIZE = 1000000 };

/* Reading a case. What is well said but not known here ends in not_supported. */

typedef struct {
    Layer *layers;
    size_t depth, samples;
    Loss loss;
    const real *inputs, *wanted;
} Case;

static jmp_buf to_answer;
static const char *reason;

static _Noreturn void not_supported(const char *why)
{
    reason = why;
    longjmp(to_answer, 1);
}

static const Json *required(const Json *object, const char *key, JsonKind kind)
{
    const Json *field = json_field(object, key);
    if (field == NULL)
        fail("expected the field ", key);
    if (field->kind != kind)
        fail("expected another type of the field ", key);
    return field;
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

static const real *read_vector(const Json *object, const char *key, size_t length)
{
    const Json *list = required(object, key, JSON_LIST);
    if (list->first != NULL && list->first->kind == JSON_LIST)
        not_supported("only biases that are lists of numbers");
    if (list->count != length) /* before memory is taken */
        fail("expected the length that the sizes say of ", key);
    real *vector = allocate(length, sizeof(real));
    read_row(list, length, key, vector);
    return vector;
}

static const real *read_matrix(const Json *object, const char *key, size_t rows, size_t columns)
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

static size_t read_size(const Json *number)
{
    if (number->kind != JSON_NUMBER || !(number->number >= 1 && number->number <= MAX_SIZE)
        || number->number != floor(number->number))
        fail("expected sizes that are integers from 1 to 1000000", "");
    return (size_t)number->number;
}

static const Activation *read_activation(const Json *name)
{
    for (size_t k = 0; k < sizeof ACTIVATIONS / sizeof *ACTIVATIONS; k++)
        if (json_is_text(name, ACTIVATIONS[k].name))
            return &ACTIVATIONS[k];
    not_supported("only identity, sigmoid, tanh and relu");
}

static Layer read_layer(const Json *layer, size_t fan_in, size_t fan_out, const Json *activation)
{
    if (json_field(layer, "bias") == NULL)
        not_supported("only layers with a bias");
    Layer read = {.fan_in = fan_in, .fan_out = fan_out, .activation = read_activation(activation)};
    read.weights = read_matrix(layer, "weights", fan_in, fan_out);
    read.bias = read_vector(layer, "bias", fan_out);
    read.ct_weights = allocate(fan_in, fan_out * sizeof(real)); /* no more than was read */
    read.ct_bias = allocate(fan_out, sizeof(real));
    read.a = allocate(fan_out, sizeof(real));
    read.ct_z = allocate(fan_out, sizeof(real));
    return read;
}

static double read_divisor(const Json *loss, const char *reduction, size_t count)
{
    const Json *field = json_field(loss, reduction);
    if (field == NULL || json_is_text(field, "sum"))
        return 1;
    if (!json_is_text(field, "mean"))
        fail("expected sum or mean for ", reduction);
    return (double)count;
}

static Loss read_loss(const Json *loss, const Layer *last, size_t samples)
{
    const Json *kind = required(loss, "kind", JSON_STRING);
    double factor = json_field(loss, "scale") == NULL ? 1 : required(loss, "scale", JSON_NUMBER)->number;
    factor /= read_divisor(loss, "over_samples", samples) * read_divisor(loss, "over_outputs", last->fan_out);
    if (json_field(loss, "l2") != NULL && required(loss, "l2", JSON_NUMBER)->number != 0)
        not_supported("no penalty");
    if (json_is_text(kind, "squared_error"))
        return (Loss){SQUARED_ERROR, to_real(factor, "scale")};
    if (!json_is_text(kind, "binary_cross_entropy"))
        not_supported("only squared_error and binary_cross_entropy");
    if (last->activation->value != sigmoid)
        not_supported("binary_cross_entropy only after a sigmoid");
    return (Loss){BINARY_CROSS_ENTROPY, to_real(factor, "scale")};
}

static void require_known_fields(const Json *document)
{
    static const char *const KNOWN[] = {"format", "version", "name", "dtype", "network",
                                        "loss", "params", "inputs", "targets", "ct_outputs"};
    for (const Json *field = document->first; field != NULL; field = field->next) {
        size_t k = 0;
        while (k < sizeof KNOWN / sizeof *KNOWN && strcmp(field->key, KNOWN[k]) != 0)
            k++;
        if (k == sizeof KNOWN / sizeof *KNOWN)
            not_supported("only the usual layout, and samples of equal weight");
    }
}

static Layer *read_layers(const Json *document, size_t depth)
{
    const Json *network = required(document, "network", JSON_OBJECT);
    const Json *sizes = required(network, "sizes", JSON_LIST), *activations = json_field(network, "activations");
    int each_its_own = activations != NULL && activations->kind == JSON_LIST;
    if (depth == 0 || sizes->count != depth + 1)
        fail("expected one size more than layers in params", "");
    if (activations == NULL || (each_its_own && activations->count != depth))
        fail("expected one activation, or one per layer", "");

    Layer *layers = allocate(depth, sizeof(Layer));
    const Json *size = sizes->first, *activation = each_its_own ? activations->first : activations;
    const Json *layer = required(document, "params", JSON_LIST)->first;
    for (size_t l = 0; l < depth; l++) {
        layers[l] = read_layer(layer, read_size(size), read_size(size->next), activation);
        layer = layer->next;
        size = size->next;
        activation = each_its_own ? activation->next : activation;
    }
    return layers;
}

static Case read_case(const Json *document)
{
    require_known_fields(document);
    size_t depth = required(document, "params", JSON_LIST)->count;
    size_t samples = required(document, "inputs", JSON_LIST)->count;
    if (samples == 0)
        fail("expected at least one sample", "");
    Case read = {.layers = read_layers(document, depth), .depth = depth, .samples = samples};
    const Layer *last = &read.layers[depth - 1];
    if (json_field(document, "loss") != NULL)
        read.loss = read_loss(required(document, "loss", JSON_OBJECT), last, samples);
    const char *wanted = read.loss.kind == BARE_COTANGENT ? "ct_outputs" : "targets";
    read.inputs = read_matrix(document, "inputs", samples, read.layers->fan_in);
    read.wanted = read_matrix(document, wanted, samples, last->fan_out);
    return read;
}

/* Writing the gradients */

static void write_row(const real *numbers, size_t length)
{
    const int digits = sizeof(real) == sizeof(float) ? FLT_DECIMAL_DIG : DBL_DECIMAL_DIG;
    for (size_t i = 0; i < length; i++) {
        printf(i == 0 ? "[" : ", ");
        if (isnan(numbers[i]))
            printf("NaN");
        else if (isinf(numbers[i]))
            printf(numbers[i] < 0 ? "-Infinity" : "Infinity");
        else
            printf("%.*g", digits, (double)numbers[i]);
    }
    printf("]");
}

static void write_matrix(const real *numbers, size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows; i++) {
        printf(i == 0 ? "[" : ", ");
        write_row(numbers + i * columns, columns);
    }
    printf("]");
}

static void write_gradients(const Case *solved, const real *outputs)
{
    printf(", \"params\": [");
    for (size_t l = 0; l < solved->depth; l++) {
        const Layer *layer = &solved->layers[l];
        printf(l == 0 ? "{\"weights\": " : ", {\"weights\": ");
        write_matrix(layer->ct_weights, layer->fan_in, layer->fan_out);
        printf(", \"bias\": ");
        write_row(layer->ct_bias, layer->fan_out);
        printf("}");
    }
    printf("], \"outputs\": ");
    write_matrix(outputs, solved->samples, solved->layers[solved->depth - 1].fan_out);
}

static void write_head(const Json *document)
{
    printf("{\"format\": \"functional-mlp/gradients\", \"version\": 1");
    if (json_field(document, "name") != NULL)
        printf(", \"case\": \"%s\"", required(document, "name", JSON_STRING)->text);
}

static void answer(const Json *document)
{
    const Json *version = json_field(document, "version");
    if (!json_is_text(json_field(document, "format"), "functional-mlp/case"))
        fail("expected a document of the format functional-mlp/case", "");
    if (version == NULL || version->number != 1)
        fail("expected version 1", "");
    if (setjmp(to_answer) == 0) {
        Case asked = read_case(document);
        size_t fan_in = asked.layers[0].fan_in, fan_out = asked.layers[asked.depth - 1].fan_out;
        real *outputs = allocate(asked.samples, fan_out * sizeof(real));
        for (size_t n = 0; n < asked.samples; n++)
            learn(asked.layers, asked.depth, asked.loss, asked.inputs + n * fan_in, asked.wanted + n * fan_out,
                  outputs + n * fan_out);
        write_head(document);
        write_gradients(&asked, outputs);
    } else {
        write_head(document);
        printf(", \"unsupported\": true, \"reason\": \"%s\"", reason);
    }
    printf("}\n");
    if (fflush(stdout) != 0)
        fail("cannot write to standard output", "");
}

int main(void)
{
    const Json *document = json_read(stdin);
    if (document == NULL)
        fail("expected a case on standard input", "");
    for (; document != NULL; document = json_read(stdin)) {
        answer(document);
        release_all();
    }
    return 0;
}
