/* Walks the steps of a path over a document. What is done for each element of an array is a frame
 * of a stack as deep as paths may be: nothing recurs. */
#include <string.h>
#include "base/num.h"
#include "simd/numbers.h"
#include "wire/gjson.h"
#include "wire/gjson_int.h"
#include "wire/json.h"

/* One array that is being gone through. */
struct frame {
    uint32_t step;         /* EACH, FIRST or ALL */
    bool in_body;          /* the query (if any) held: its element is being collected */
    struct tern_json json; /* stands before the next element, or is at its end */
    struct tern_str element;
    struct tern_buf out; /* EACH, ALL: what was collected */
};

struct find {
    const struct tern_gjson *gjson;
    struct tern_arena *arena;
    struct tern_str value;
    bool found; /* value is one */
    uint32_t at;
    uint32_t depth;
    struct frame frames[TERN_GJSON_DEPTH_MAX];
};

static void begin(struct find *f, struct tern_json *json, struct tern_str text)
{
    tern_json_init(json, text, f->arena);
    json->depth_max = TERN_JSON_DEPTH_MAX;
}

/* The next value of json as text. */
static enum tern_code take_value(struct tern_json *json, struct tern_str *ret, struct tern_err *err)
{
    tern_json_peek(json);
    const char *p = json->p;
    TERN_TRY(tern_json_skip(json, err));
    *ret = tern_str_make(p, (size_t)(json->p - p));
    return TERN_OK;
}

bool tern_gjson_matches(struct tern_str pattern, struct tern_str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;

    while (t < text.n) {
        bool escaped = p + 1 < pattern.n && pattern.p[p] == '\\';
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.n && pattern.p[p] == '?') {
            p++;
            do
                t++;
            while (t < text.n && ((unsigned char)text.p[t] & 0xc0) == 0x80);
        } else if (p < pattern.n && pattern.p[p + escaped] == text.p[t]) {
            p += 1u + escaped;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1; /* the star takes one byte more */
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

/* ---- one step on one value ---- */

static enum tern_code find_member(struct find *f, const struct gjson_step *step,
                                  struct tern_json *json, struct tern_err *err)
{
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            return TERN_OK;
        f->found =
            step->is_pattern ? tern_gjson_matches(step->text, key) : tern_str_eq(step->text, key);
        if (f->found)
            return take_value(json, &f->value, err);
        TERN_TRY(tern_json_skip(json, err));
    }
}

static enum tern_code find_element(struct find *f, uint64_t index, struct tern_json *json,
                                   uint64_t *ret_n, struct tern_err *err)
{
    bool more;

    *ret_n = 0;
    TERN_TRY(tern_json_array(json, err));
    for (;;) {
        TERN_TRY(tern_json_item(json, &more, err));
        if (!more)
            return TERN_OK;
        if ((*ret_n)++ == index) {
            f->found = true;
            return take_value(json, &f->value, err);
        }
        TERN_TRY(tern_json_skip(json, err));
    }
}

static enum tern_code apply_key(struct find *f, const struct gjson_step *step, struct tern_err *err)
{
    struct tern_json json;
    uint64_t index, n;

    f->found = false;
    begin(f, &json, f->value);
    switch (tern_json_peek(&json)) {
    case TERN_JSON_OBJECT:
        return find_member(f, step, &json, err);
    case TERN_JSON_ARRAY:
        if (!tern_num_parse_u64(step->text, INT64_MAX, &index))
            return TERN_OK;
        return find_element(f, index, &json, &n, err);
    case TERN_JSON_NONE:
    case TERN_JSON_NULL:
    case TERN_JSON_BOOL:
    case TERN_JSON_NUMBER:
    case TERN_JSON_STRING:
        break;
    }
    return TERN_OK;
}

/* Text of our own, with the bytes after it that readers want; in brackets when it is an array. */
static enum tern_code set_text(struct find *f, struct tern_str text, bool is_array,
                               struct tern_err *err)
{
    size_t n = text.n + (is_array ? 2 : 0);
    char *p = tern_arena_alloc(f->arena, 1, n + TERN_TEXT_PAD);

    if (p == NULL)
        return tern_arena_fail(f->arena, err, "what a condition looks at");
    if (text.n > 0)
        memcpy(p + is_array, text.p, text.n);
    if (is_array) {
        p[0] = '[';
        p[n - 1] = ']';
    }
    memset(p + n, ' ', TERN_TEXT_PAD);
    f->value = tern_str_make(p, n);
    return TERN_OK;
}

static enum tern_code apply_count(struct find *f, struct tern_err *err)
{
    struct tern_json json;
    char digits[20];
    uint64_t n = 0;

    begin(f, &json, f->value);
    f->found = tern_json_peek(&json) == TERN_JSON_ARRAY;
    if (!f->found)
        return TERN_OK;
    TERN_TRY(find_element(f, UINT64_MAX, &json, &n, err));
    return set_text(f, tern_str_make(digits, tern_num_format_u64(n, digits)), false, err);
}

/* ---- comparing ---- */

static bool holds_order(enum gjson_compare compare, int order)
{
    switch (compare) {
    case GJSON_EQ:
        return order == 0;
    case GJSON_NE:
        return order != 0;
    case GJSON_LT:
        return order < 0;
    case GJSON_LE:
        return order <= 0;
    case GJSON_GT:
        return order > 0;
    case GJSON_GE:
        return order >= 0;
    case GJSON_EXISTS:
    case GJSON_LIKE:
    case GJSON_UNLIKE:
        break;
    }
    return false;
}

static bool compare_number(const struct gjson_step *step, const struct tern_json_number *number)
{
    double left = number->kind == TERN_JSON_DOUBLE  ? number->real
                  : number->kind == TERN_JSON_INT64 ? (double)number->int64
                                                    : (double)number->uint64;
    double right;
    size_t used = 0;

    /* Text that is no number is as good as none: only "unequal" is true of it. */
    if (step->text.n == 0 || tern_numbers_read_double(step->text, &right, &used, NULL) != TERN_OK ||
        used != step->text.n)
        return step->compare == GJSON_NE;
    return holds_order(step->compare, left < right ? -1 : left > right);
}

static bool compare_text(const struct gjson_step *step, struct tern_str text)
{
    if (step->compare == GJSON_LIKE)
        return tern_gjson_matches(step->text, text);
    if (step->compare == GJSON_UNLIKE)
        return !tern_gjson_matches(step->text, text);
    return holds_order(step->compare, tern_str_cmp(text, step->text));
}

/* false < true, and any other text is merely unequal. */
static bool compare_bool(const struct gjson_step *step, bool value)
{
    bool is_true = tern_str_eq(step->text, TERN_STR("true"));

    if (!is_true && !tern_str_eq(step->text, TERN_STR("false")))
        return step->compare == GJSON_NE;
    return holds_order(step->compare, (int)value - (int)is_true);
}

/* Whether the query of `step` is true of what its path led to. */
static enum tern_code holds(struct find *f, const struct gjson_step *step, bool *ret,
                            struct tern_err *err)
{
    struct tern_json_number number;
    struct tern_json json;
    struct tern_str text;
    bool boolean;

    *ret = f->found && step->compare == GJSON_EXISTS;
    if (!f->found || *ret)
        return TERN_OK;
    begin(f, &json, f->value);
    switch (tern_json_peek(&json)) {
    case TERN_JSON_NUMBER:
        TERN_TRY(tern_json_number(&json, &number, err));
        *ret = compare_number(step, &number);
        return TERN_OK;
    case TERN_JSON_STRING:
        TERN_TRY(tern_json_string(&json, &text, err));
        *ret = compare_text(step, text);
        return TERN_OK;
    case TERN_JSON_BOOL:
        TERN_TRY(tern_json_bool(&json, &boolean, err));
        *ret = compare_bool(step, boolean);
        return TERN_OK;
    case TERN_JSON_NONE:
    case TERN_JSON_NULL:
    case TERN_JSON_ARRAY:
    case TERN_JSON_OBJECT:
        break;
    }
    return TERN_OK;
}

/* ---- arrays ---- */

static const struct gjson_step *step_of(const struct find *f, const struct frame *frame)
{
    return &f->gjson->steps[frame->step];
}

static void leave(struct find *f, uint32_t to)
{
    f->depth--;
    tern_buf_fini(&f->frames[f->depth].out);
    f->at = to;
}

/* On to the next element, or out of the array. */
static enum tern_code next_element(struct find *f, struct tern_err *err)
{
    struct frame *frame = &f->frames[f->depth - 1];
    const struct gjson_step *step = step_of(f, frame);
    bool more;

    TERN_TRY(tern_json_item(&frame->json, &more, err));
    if (more) {
        TERN_TRY(take_value(&frame->json, &frame->element, err));
        frame->in_body = step->kind == GJSON_EACH;
        f->value = frame->element;
        f->found = true;
        f->at = frame->step + 1;
        return TERN_OK;
    }
    f->found = step->kind != GJSON_FIRST;
    if (f->found) {
        TERN_TRY(tern_buf_check(&frame->out, "what a condition collects", err));
        TERN_TRY(set_text(f, tern_buf_str(&frame->out), true, err));
    }
    leave(f, step->kind == GJSON_FIRST ? step->query_end : step->end);
    return TERN_OK;
}

static enum tern_code enter(struct find *f, struct tern_err *err)
{
    struct frame *frame = &f->frames[f->depth];

    begin(f, &frame->json, f->value);
    f->found = tern_json_peek(&frame->json) == TERN_JSON_ARRAY;
    if (!f->found)
        return TERN_OK;
    frame->step = f->at;
    tern_buf_init(&frame->out, f->arena->max);
    f->depth++;
    TERN_TRY(tern_json_array(&frame->json, err));
    return next_element(f, err);
}

static void collect(struct find *f, struct frame *frame)
{
    if (!f->found)
        return;
    if (frame->out.n > 0)
        tern_buf_add_char(&frame->out, ',');
    tern_buf_add_str(&frame->out, f->value);
}

/* The steps of the innermost frame's query, or of its body, are done. */
static enum tern_code end_of_scope(struct find *f, struct tern_err *err)
{
    struct frame *frame = &f->frames[f->depth - 1];
    const struct gjson_step *step = step_of(f, frame);
    bool good;

    if (frame->in_body) {
        collect(f, frame);
        return next_element(f, err);
    }
    TERN_TRY(holds(f, step, &good, err));
    if (!good)
        return next_element(f, err);
    f->value = frame->element;
    f->found = true;
    if (step->kind == GJSON_FIRST) {
        leave(f, step->query_end);
    } else {
        frame->in_body = true;
        f->at = step->query_end;
    }
    return TERN_OK;
}

/* Where the steps end that the innermost frame is in. */
static uint32_t scope_end(const struct find *f)
{
    if (f->depth == 0)
        return f->gjson->n;
    const struct frame *frame = &f->frames[f->depth - 1];
    const struct gjson_step *step = step_of(f, frame);
    return frame->in_body ? step->end : step->query_end;
}

static enum tern_code apply(struct find *f, struct tern_err *err)
{
    const struct gjson_step *step = &f->gjson->steps[f->at];

    switch (step->kind) {
    case GJSON_KEY:
        TERN_TRY(apply_key(f, step, err));
        break;
    case GJSON_COUNT:
        TERN_TRY(apply_count(f, err));
        break;
    case GJSON_WRAP:
        TERN_TRY(set_text(f, f->value, true, err));
        break;
    case GJSON_EACH:
    case GJSON_FIRST:
    case GJSON_ALL:
        return enter(f, err); /* it knows where to go on */
    }
    f->at++;
    return TERN_OK;
}

static enum tern_code walk(struct find *f, struct tern_err *err)
{
    for (;;) {
        uint32_t end = scope_end(f);
        if (!f->found) /* it leads nowhere: the rest has nothing to look at */
            f->at = end;
        if (f->at < end)
            TERN_TRY(apply(f, err));
        else if (f->depth > 0)
            TERN_TRY(end_of_scope(f, err));
        else
            return TERN_OK;
    }
}

enum tern_code tern_gjson_find(const struct tern_gjson *gjson, struct tern_str document,
                               struct tern_arena *arena, bool *ret_found,
                               struct tern_str *ret_value, struct tern_err *err)
{
    TERN_UNINITIALIZED struct find f;
    struct tern_json json;

    f.gjson = gjson;
    f.arena = arena;
    f.at = f.depth = 0;
    f.found = true;
    begin(&f, &json, document);
    TERN_TRY(take_value(&json, &f.value, err));
    TERN_TRY(tern_json_end(&json, err));
    enum tern_code code = walk(&f, err);
    while (f.depth > 0)
        leave(&f, 0);
    TERN_TRY(code);
    *ret_found = f.found;
    *ret_value = f.value;
    return TERN_OK;
}
