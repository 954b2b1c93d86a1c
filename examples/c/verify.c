/* Solves the conformance vectors (docs/reference/vectors.md) of the named files, and compares with what they expect.
 *
 *     gcc -O2 verify.c -o verify -lm
 *     ./verify ../../functional_mlp/vectors/GROUP.json ...
 *
 * -DREAL=float and -DMISTAKE are those of mlp.h; a float program skips the vectors of float64. It prints a line for
 * each vector that is wrong, and a count at the end; what is not supported is skipped and counted, with reasons. An
 * invalid vector holds a wrong answer, which must not be found right: so the comparison is checked too. Exit status: 0
 * if none is wrong, 1 if any is, 2 for bad input.
 */
#include "rules.h"

/* What was computed: an array, and the first number that is too far off */

enum { RANK = 2 };

typedef struct {
    const char *name, *field; /* "outputs"; or, where there is one per layer, "params" and ".weights" */
    size_t layer, shape[RANK]; /* 0 after the last dimension */
    real *numbers;
} Array;

typedef struct {
    bool found;
    Array array;
    size_t index[RANK];
    double got, expected, allowed;
} Miss;

static Array weights_of(const char *name, const Layer *layer, size_t l)
{
    return (Array){name, ".weights", l, {layer->fan_in, layer->fan_out}, layer->ct_weights};
}

static Array bias_of(const char *name, const Layer *layer, size_t l)
{
    return (Array){name, ".bias", l, {layer->fan_out, 0}, layer->ct_bias};
}

static bool is_number(const Array *array, size_t depth) { return depth == RANK || array->shape[depth] == 0; }

/* What is wanted: the same lists twice, of the numbers and of how far off they may be */

typedef struct {
    const Json *expected, *allowed;
} Wanted;

static Wanted wanted_of(const Json *vector)
{
    return (Wanted){required(vector, "expected", JSON_OBJECT), required(vector, "allowed", JSON_OBJECT)};
}

/* The same of what a rule makes of the parameters: lists of layers. */
static Wanted lists_of(const Json *update)
{
    return (Wanted){required(update, "expected", JSON_LIST), required(update, "allowed", JSON_LIST)};
}

static Wanted field_of(Wanted whole, const char *key)
{
    Wanted field = {json_field(whole.expected, key), json_field(whole.allowed, key)};
    if (field.expected == NULL || field.allowed == NULL)
        fail("expected in both, expected and allowed, the field ", key);
    return field;
}

static Wanted next_of(Wanted item) { return (Wanted){item.expected->next, item.allowed->next}; }

static Wanted first_of(Wanted list, size_t count)
{
    if (list.expected->kind != JSON_LIST || list.expected->count != count || list.allowed->kind != JSON_LIST
        || list.allowed->count != count)
        fail("expected lists of the sizes of the case in expected and allowed", "");
    return (Wanted){list.expected->first, list.allowed->first};
}

/* Comparing */

static void compare_number(Wanted wanted, real got, Miss *miss)
{
    if (wanted.allowed->kind == JSON_NULL && is_number(&miss->array, 0)) /* of the loss, nothing is required */
        return;
    if (wanted.expected->kind != JSON_NUMBER || wanted.allowed->kind != JSON_NUMBER)
        fail("expected numbers in expected and allowed", "");
    miss->got = (double)got;
    miss->expected = wanted.expected->number;
    miss->allowed = wanted.allowed->number;
    miss->found = !(fabs(miss->got - miss->expected) <= miss->allowed); /* not >, since NaN is a miss */
}

/* Compares numbers, one after the other, with nested lists; returns what follows them. */
static const real *compare_numbers(Wanted wanted, const real *got, size_t depth, Miss *miss)
{
    if (is_number(&miss->array, depth)) {
        compare_number(wanted, *got, miss);
        return got + 1;
    }
    size_t count = miss->array.shape[depth];
    Wanted item = first_of(wanted, count);
    for (size_t i = 0; i < count && !miss->found; i++, item = next_of(item)) {
        miss->index[depth] = i;
        got = compare_numbers(item, got, depth + 1, miss);
    }
    return got;
}

static void compare(Wanted wanted, Array array, Miss *miss)
{
    if (miss->found)
        return;
    miss->array = array;
    compare_numbers(wanted, array.numbers, 0, miss);
}

/* `name` is "params", of the gradients, or "params_after", where a step has been taken in their place. */
static void compare_params(Wanted wanted, const char *name, const Case *got, Miss *miss)
{
    Wanted params = first_of(wanted, got->depth);
    for (size_t l = 0; l < got->depth; l++, params = next_of(params)) {
        const Layer *layer = &got->layers[l];
        compare(field_of(params, "weights"), weights_of(name, layer, l), miss);
        if (layer->bias != NULL)
            compare(field_of(params, "bias"), bias_of(name, layer, l), miss);
    }
}

static void compare_the_rest(Wanted wanted, Case *got, Miss *miss)
{
    size_t n = got->samples, n_inputs = got->layers[0].fan_in, n_outputs = got->layers[got->depth - 1].fan_out;
    if (got->loss != NULL)
        compare(field_of(wanted, "loss"), (Array){"loss", NULL, 0, {0, 0}, &got->value}, miss);
    compare(field_of(wanted, "outputs"), (Array){"outputs", NULL, 0, {n, n_outputs}, got->outputs}, miss);
    Wanted deltas = first_of(field_of(wanted, "deltas"), got->depth);
    for (size_t l = 0; l < got->depth; l++, deltas = next_of(deltas))
        compare(deltas, (Array){"deltas", "", l, {n, got->layers[l].fan_out}, got->layers[l].ct_z}, miss);
    compare(field_of(wanted, "ct_inputs"), (Array){"ct_inputs", NULL, 0, {n, n_inputs}, got->ct_inputs}, miss);
}

/* The first text of `hex` that is another number than the decimal in its place, or NULL. */
static const Json *other_number(const Json *decimal, const Json *hex)
{
    if (hex != NULL && hex->kind == JSON_STRING && decimal->kind == JSON_NUMBER) {
        char *end;
        double number = strtod(hex->text, &end);
        return end != hex->text && *end == '\0' && number == decimal->number ? NULL : hex;
    }
    if (hex == NULL || hex->kind != decimal->kind || hex->count != decimal->count || decimal->kind == JSON_NUMBER)
        fail("expected the same lists in expected and expected_hex", "");
    const Json *other = NULL, *of_hex = hex->first;
    for (const Json *item = decimal->first; item != NULL && other == NULL; item = item->next, of_hex = of_hex->next)
        other = other_number(item, decimal->kind == JSON_OBJECT ? json_field(hex, item->key) : of_hex);
    return other;
}

/* One vector */

typedef enum { RIGHT, WRONG, OTHER_PRECISION, UPDATE, UNSUPPORTED, OUTCOMES } Outcome;

/* What is not supported, and how often; further reasons than there is room for are counted with the last one. */
enum { REASONS = 40 };
static struct {
    char text[sizeof reason];
    size_t count;
} reasons[REASONS];

static Outcome count_unsupported(void)
{
    size_t k = 0;
    while (k < REASONS - 1 && reasons[k].count > 0 && strcmp(reasons[k].text, reason) != 0)
        k++;
    if (reasons[k].count++ == 0)
        memcpy(reasons[k].text, reason, sizeof reason);
    return UNSUPPORTED;
}

static const char *text_of(const Json *vector, const char *key) { return required(vector, key, JSON_STRING)->text; }

static Outcome print_wrong(const Json *vector, const char *what, const char *why)
{
    printf("%s: %s%s: %s\n", text_of(vector, "id"), what, why, text_of(vector, "comment"));
    return WRONG;
}

static Outcome print_miss(const Json *vector, const Miss *miss)
{
    const Array *array = &miss->array;
    printf("%s: %s", text_of(vector, "id"), array->name);
    if (array->field != NULL)
        printf("[%zu]%s", array->layer, array->field);
    for (size_t k = 0; !is_number(array, k); k++)
        printf("[%zu]", miss->index[k]);
    printf(": got %.17g, expected %.17g, allowed %.3g: %s\n", miss->got, miss->expected, miss->allowed,
           text_of(vector, "comment"));
    return WRONG;
}

/* What is right besides `right`, which was the vector itself to begin with: its alternatives, one after the other. */
static const Json *also_right(const Json *vector, const Json *right)
{
    const Json *alternatives = json_field(vector, "alternatives");
    if (right != vector)
        return right->next;
    return alternatives == NULL ? NULL : alternatives->first;
}

/* Whether an answer fits the vector or one of its alternatives as a whole; if not, `first` is where it misses. */
static bool fits(const Json *vector, Case *got, bool params_alone, Miss *first)
{
    for (const Json *right = vector; right != NULL; right = also_right(vector, right)) {
        Miss miss = {.found = false};
        compare_params(field_of(wanted_of(right), "params"), "params", got, &miss);
        if (!params_alone)
            compare_the_rest(wanted_of(right), got, &miss);
        if (!miss.found)
            return true;
        if (right == vector)
            *first = miss;
    }
    return false;
}

/* Numbers of an answer, in place of what would be computed; false if they are of another shape, or no numbers. */
static bool read_numbers(const Json *list, Array array, size_t depth, real **place)
{
    if (list == NULL || is_number(&array, depth)) {
        if (list == NULL || list->kind != JSON_NUMBER)
            return false;
        *(*place)++ = (real)list->number;
        return true;
    }
    if (list->kind != JSON_LIST || list->count != array.shape[depth])
        return false;
    for (const Json *item = list->first; item != NULL; item = item->next)
        if (!read_numbers(item, array, depth + 1, place))
            return false;
    return true;
}

static bool read_answer(const Json *answer, Case *asked)
{
    const Json *params = required(answer, "params", JSON_LIST), *given = params->first;
    if (params->count != asked->depth)
        return false;
    for (size_t l = 0; l < asked->depth; l++, given = given->next) {
        const Layer *layer = &asked->layers[l];
        real *weights = layer->ct_weights, *bias = layer->ct_bias;
        if (!read_numbers(json_field(given, "weights"), weights_of("params", layer, l), 0, &weights)
            || (bias != NULL && !read_numbers(json_field(given, "bias"), bias_of("params", layer, l), 0, &bias)))
            return false;
    }
    return true;
}

/* Compares the parameters themselves, which are put in the place of their gradients. */
static void compare_after(Wanted params, const Case *trained, Miss *miss)
{
    for (size_t l = 0; l < trained->depth; l++) {
        const Layer *layer = &trained->layers[l];
        memcpy(layer->ct_weights, layer->weights, layer->fan_in * layer->fan_out * sizeof(real));
        if (layer->bias != NULL)
            memcpy(layer->ct_bias, layer->bias, layer->fan_out * sizeof(real));
    }
    compare_params(params, "params_after", trained, miss);
}

static Outcome check_valid(const Json *vector, Case *asked)
{
    Miss miss;
    solve(asked);
    if (!fits(vector, asked, false, &miss))
        return print_miss(vector, &miss);
    miss.found = false;
    if (json_field(vector, "learning_rate") != NULL) {
        Rule plain = {.step = descent, .rate = (real)required(vector, "learning_rate", JSON_NUMBER)->number};
        train(asked, &plain, 1);
        compare_after(field_of(wanted_of(vector), "params_after"), asked, &miss);
    }
    const Json *update = json_field(vector, "update");
    if (update != NULL && !miss.found) {
        Rule rule;
        if (!read_rule(required(update, "rule", JSON_OBJECT), &rule))
            return count_unsupported();
        train(asked, &rule, read_size(required(update, "steps", JSON_NUMBER)));
        compare_after(lists_of(update), asked, &miss);
    }
    return miss.found ? print_miss(vector, &miss) : RIGHT;
}

static Outcome check_invalid(const Json *vector, Case *asked)
{
    Miss miss;
    const Json *answer = required(vector, "answer", JSON_OBJECT);
    if (json_is_text(json_field(answer, "format"), "functional-mlp/update"))
        return UPDATE;
    if (read_answer(answer, asked) && fits(vector, asked, true, &miss))
        return print_wrong(vector, "its wrong answer is found right", "");
    return RIGHT;
}

static Outcome check_vector(const Json *vector)
{
    const char *precision = text_of(vector, "precision"), *result = text_of(vector, "result");
    bool invalid = strcmp(result, "invalid") == 0;
    if (!invalid && strcmp(result, "valid") != 0 && strcmp(result, "acceptable") != 0)
        fail("expected valid, acceptable or invalid for ", "result");
    const Json *other = NULL, *update = json_field(vector, "update");
    for (const Json *right = vector; right != NULL && other == NULL; right = also_right(vector, right))
        other = other_number(required(right, "expected", JSON_OBJECT), required(right, "expected_hex", JSON_OBJECT));
    if (update != NULL && other == NULL)
        other = other_number(required(update, "expected", JSON_LIST), required(update, "expected_hex", JSON_LIST));
    if (other != NULL)
        return print_wrong(vector, "expected is not ", other->text);
    if (sizeof(real) == sizeof(float) && strcmp(precision, "float64") == 0)
        return OTHER_PRECISION;
    Case *asked = read_case(required(vector, "case", JSON_OBJECT));
    if (asked == NULL)
        return count_unsupported();
    return invalid ? check_invalid(vector, asked) : check_valid(vector, asked);
}

/* Files */

static void check_file(const char *path, size_t counts[OUTCOMES])
{
    speaker = path;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail("cannot be opened", "");
    const Json *group = json_read(file);
    require_format(group, "functional-mlp/vectors");
    if (json_read(file) != NULL)
        fail("expected one document", "");
    const Json *vectors = required(group, "vectors", JSON_LIST);
    if (vectors->count == 0 || required(group, "count", JSON_NUMBER)->number != (double)vectors->count)
        fail("expected as many vectors as count says, and at least one", "");
    for (const Json *vector = vectors->first; vector != NULL; vector = vector->next) {
        char place[256];
        const Block *mark = blocks;
        snprintf(place, sizeof place, "%s: %s", path, text_of(vector, "id"));
        speaker = place;
        counts[check_vector(vector)]++;
        speaker = path;
        release_to(mark);
    }
    release_to(NULL);
    fclose(file);
}

int main(int argc, char **argv)
{
    size_t counts[OUTCOMES] = {0}, all = 0;
    speaker = "verify";
    bad_input = 2;
    if (argc < 2)
        fail("expected files of vectors, such as ", "../../functional_mlp/vectors/data/*.json");
    for (int k = 1; k < argc; k++)
        check_file(argv[k], counts);
    for (Outcome k = RIGHT; k < OUTCOMES; k++)
        all += counts[k];
    printf("%zu vectors of %d files: %zu right, %zu wrong, %zu of another precision and %zu updates skipped", all,
           argc - 1, counts[RIGHT], counts[WRONG], counts[OTHER_PRECISION], counts[UPDATE]);
    if (counts[UNSUPPORTED] > 0)
        printf(", %zu not supported", counts[UNSUPPORTED]);
    printf("\n");
    for (size_t k = 0; k < REASONS && reasons[k].count > 0; k++)
        printf("not supported, %zu times: %s\n", reasons[k].count, reasons[k].text);
    return counts[WRONG] > 0;
}
