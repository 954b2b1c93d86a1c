/* Reads cases (docs/reference/oracle.md) from standard input and answers each with a line of gradients on standard output.
 *
 *     gcc -O2 main.c -o mlp -lm                       float64
 *     gcc -O2 -DREAL=float main.c -o mlp -lm          float32
 *     gcc -O2 -DMISTAKE main.c -o mistaken -lm        with a common mistake, to see it named
 *
 * A case of another kind than mlp.h computes is answered "unsupported". Input that is no case is refused with a sentence
 * on standard error and exit status 1.
 */
#include "case.h"

static void write_number(real number)
{
    const int digits = sizeof(real) == sizeof(float) ? FLT_DECIMAL_DIG : DBL_DECIMAL_DIG;
    if (isnan(number))
        printf("NaN");
    else if (isinf(number))
        printf(number < 0 ? "-Infinity" : "Infinity");
    else
        printf("%.*g", digits, (double)number);
}

static void write_row(const real *numbers, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        printf(i == 0 ? "[" : ", ");
        write_number(numbers[i]);
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

static void write_params(const Case *solved)
{
    printf(", \"params\": ");
    for (size_t l = 0; l < solved->depth; l++) {
        const Layer *layer = &solved->layers[l];
        printf(l == 0 ? "[{\"weights\": " : ", {\"weights\": ");
        write_matrix(layer->ct_weights, layer->fan_in, layer->fan_out);
        if (layer->bias != NULL) {
            printf(", \"bias\": ");
            write_row(layer->ct_bias, layer->fan_out);
        }
        printf("}");
    }
    printf("]");
}

static void write_the_rest(const Case *solved)
{
    if (solved->loss != NULL) {
        printf(", \"loss\": ");
        write_number(solved->value);
    }
    printf(", \"outputs\": ");
    write_matrix(solved->outputs, solved->samples, solved->layers[solved->depth - 1].fan_out);
    printf(", \"deltas\": ");
    for (size_t l = 0; l < solved->depth; l++) {
        printf(l == 0 ? "[" : ", ");
        write_matrix(solved->layers[l].ct_z, solved->samples, solved->layers[l].fan_out);
    }
    printf("]");
}

static void answer(const Json *document)
{
    Case *asked = read_case(document);
    printf("{\"format\": \"functional-mlp/gradients\", \"version\": 1");
    if (json_field(document, "name") != NULL)
        printf(", \"case\": \"%s\"", required(document, "name", JSON_STRING)->text);
    if (asked == NULL) {
        printf(", \"unsupported\": true, \"reason\": \"%s\"", reason);
    } else {
        solve(asked);
        write_params(asked);
        write_the_rest(asked);
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
        release_to(NULL);
    }
    return 0;
}
