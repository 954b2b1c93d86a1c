/* A small JSON reader: one document from a stream, whole or not at all.
 *
 * It reads no further than the end of the document, so that a program may answer one before the next is written.
 * Whatever is wrong becomes one sentence on standard error and an exit status. It refuses numbers that are not finite or
 * exceed a double, and nesting beyond JSON_DEPTH. Strings keep their escapes as they came (a name is only handed back);
 * that their bytes are UTF-8 is not checked.
 */
#ifndef JSON_H
#define JSON_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH = 16 };

typedef enum { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_LIST, JSON_OBJECT } JsonKind;

typedef struct Json {
    JsonKind kind;
    double number;
    const char *text;   /* of a string, between its quotes */
    const char *key;    /* of a field of an object */
    size_t count;       /* of the items of a list or an object */
    struct Json *first; /* item */
    struct Json *next;  /* item of what this is an item of */
} Json;

/* Who complains of bad input, and the exit status then. */
static const char *speaker = "mlp";
static int bad_input = 1;

static _Noreturn void fail(const char *sentence, const char *detail)
{
    fprintf(stderr, "%s: %s%s\n", speaker, sentence, detail);
    exit(bad_input);
}

/* Memory: everything that belongs to one document is released at once. */

typedef struct Block {
    struct Block *before;
    max_align_t content[];
} Block;

static Block *blocks = NULL;

/* Zeroed memory for `count` objects of `size` bytes. */
static void *allocate(size_t count, size_t size)
{
    if (size != 0 && count > (SIZE_MAX - sizeof(Block)) / size)
        fail("out of memory", "");
    Block *block = calloc(1, sizeof(Block) + count * size);
    if (block == NULL)
        fail("out of memory", "");
    block->before = blocks;
    blocks = block;
    return block->content;
}

/* Everything that was allocated after `mark`, which was the value of `blocks` then; NULL for all. */
static void release_to(const Block *mark)
{
    while (blocks != mark) {
        Block *before = blocks->before;
        free(blocks);
        blocks = before;
    }
}

/* Characters */

static int json_peek(FILE *stream)
{
    int c = getc(stream);
    if (c != EOF)
        ungetc(c, stream);
    return c;
}

static int json_skip_space(FILE *stream)
{
    int c;
    do
        c = getc(stream);
    while (c == ' ' || c == '\t' || c == '\n' || c == '\r');
    if (c != EOF)
        ungetc(c, stream);
    return c;
}

static _Noreturn void json_unexpected(int c, const char *wanted)
{
    char got[64];
    if (c == EOF)
        snprintf(got, sizeof got, "%s, got the end of the input", wanted);
    else if (c > ' ' && c < 127)
        snprintf(got, sizeof got, "%s, got '%c'", wanted, c);
    else
        snprintf(got, sizeof got, "%s, got byte %d", wanted, c);
    fail("no JSON: expected ", got);
}

static void json_expect(FILE *stream, const char *word)
{
    for (const char *at = word; *at != '\0'; at++) {
        int c = getc(stream);
        if (c != (unsigned char)*at)
            json_unexpected(c, word);
    }
}

/* Strings and numbers, of any length, gathered in a text that grows */

typedef struct {
    char *start;
    size_t length, capacity;
} Text;

static void text_add(Text *text, int c)
{
    if (text->length + 1 >= text->capacity) {
        size_t capacity = text->capacity == 0 ? 32 : 2 * text->capacity;
        char *larger = allocate(capacity, 1); /* the smaller one is released with the document */
        if (text->length > 0)
            memcpy(larger, text->start, text->length);
        text->start = larger;
        text->capacity = capacity;
    }
    text->start[text->length++] = (char)c;
    text->start[text->length] = '\0';
}

static int json_is_digit(int c) { return c >= '0' && c <= '9'; }

static int json_is_hex(int c) { return json_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

static const char *json_string(FILE *stream)
{
    Text text = {NULL, 0, 0};
    json_expect(stream, "\"");
    for (int c = getc(stream); c != '"'; c = getc(stream)) {
        if (c == EOF || c < ' ')
            json_unexpected(c, "the end of a string");
        text_add(&text, c);
        if (c != '\\')
            continue;
        c = getc(stream);
        if (c == EOF || c == '\0' || strchr("\"\\/bfnrtu", c) == NULL)
            json_unexpected(c, "an escape");
        text_add(&text, c);
        for (int digit = 0; c == 'u' && digit < 4; digit++) {
            int hex = getc(stream);
            if (!json_is_hex(hex))
                json_unexpected(hex, "a hexadecimal digit");
            text_add(&text, hex);
        }
    }
    return text.length == 0 ? "" : text.start;
}

static void json_digits(FILE *stream, Text *text)
{
    if (!json_is_digit(json_peek(stream)))
        json_unexpected(json_peek(stream), "a digit");
    while (json_is_digit(json_peek(stream)))
        text_add(text, getc(stream));
}

static double json_number(FILE *stream)
{
    Text text = {NULL, 0, 0};
    if (json_peek(stream) == '-')
        text_add(&text, getc(stream));
    if (json_peek(stream) == '0')
        text_add(&text, getc(stream));
    else
        json_digits(stream, &text);
    if (json_peek(stream) == '.') {
        text_add(&text, getc(stream));
        json_digits(stream, &text);
    }
    if (json_peek(stream) == 'e' || json_peek(stream) == 'E') {
        text_add(&text, getc(stream));
        if (json_peek(stream) == '+' || json_peek(stream) == '-')
            text_add(&text, getc(stream));
        json_digits(stream, &text);
    }
    double number = strtod(text.start, NULL);
    if (!isfinite(number))
        fail("expected numbers that a double can hold", "");
    return number;
}

/* Values */

static Json *json_value(FILE *stream, int depth);

static Json *json_items(FILE *stream, Json *whole, char end, int depth)
{
    Json **place = &whole->first;
    getc(stream); /* the bracket */
    if (json_skip_space(stream) == end) {
        getc(stream);
        return whole;
    }
    for (;;) {
        const char *key = NULL;
        if (whole->kind == JSON_OBJECT) {
            json_skip_space(stream);
            key = json_string(stream);
            json_skip_space(stream);
            json_expect(stream, ":");
        }
        *place = json_value(stream, depth + 1);
        (*place)->key = key;
        place = &(*place)->next;
        whole->count++;
        json_skip_space(stream);
        int c = getc(stream);
        if (c == end)
            return whole;
        if (c != ',')
            json_unexpected(c, whole->kind == JSON_LIST ? "',' or ']'" : "',' or '}'");
    }
}

static Json *json_value(FILE *stream, int depth)
{
    if (depth > JSON_DEPTH)
        fail("nested too deeply", "");
    Json *value = allocate(1, sizeof *value);
    int c = json_skip_space(stream);
    switch (c) {
    case '{':
        value->kind = JSON_OBJECT;
        return json_items(stream, value, '}', depth);
    case '[':
        value->kind = JSON_LIST;
        return json_items(stream, value, ']', depth);
    case '"':
        value->kind = JSON_STRING;
        value->text = json_string(stream);
        return value;
    case 't':
        value->kind = JSON_TRUE;
        json_expect(stream, "true");
        return value;
    case 'f':
        value->kind = JSON_FALSE;
        json_expect(stream, "false");
        return value;
    case 'n':
        value->kind = JSON_NULL;
        json_expect(stream, "null");
        return value;
    default:
        if (c != '-' && !json_is_digit(c))
            json_unexpected(c, "a value");
        value->kind = JSON_NUMBER;
        value->number = json_number(stream);
        return value;
    }
}

/* The next document of the stream, or NULL at its end. Released by release_to(NULL). */
static Json *json_read(FILE *stream)
{
    if (json_skip_space(stream) == EOF)
        return NULL;
    return json_value(stream, 0);
}

/* A field of an object, or NULL. */
static const Json *json_field(const Json *object, const char *key)
{
    if (object == NULL || object->kind != JSON_OBJECT)
        return NULL;
    for (const Json *field = object->first; field != NULL; field = field->next)
        if (strcmp(field->key, key) == 0)
            return field;
    return NULL;
}

static int json_is_text(const Json *value, const char *text)
{
    return value != NULL && value->kind == JSON_STRING && strcmp(value->text, text) == 0;
}

#endif
