#include "registry/batching_parameters.h"

#include "base/clock.h"
#include "base/num.h"
#include "registry/pbtxt_tree.h"

#define MAX_ROWS     1000 /* TF Serving's, where the file does not say */
#define MAX_ENQUEUED 10

struct reader {
    struct tern_str file;
    struct tern_problems *problems;
    struct tern_batching_parameters *p;
    uint64_t enqueued; /* batches that may wait */
    bool splits;
    uint64_t split_rows;
};

static struct tern_str place_of(const struct reader *r, const struct tern_tree *node)
{
    return tern_problem_place(r->problems, r->file, node->line, node->column);
}

/* Most fields are messages of one `value`, so that 0 and nothing are two things. */
static struct tern_str value_of(const struct tern_tree *node)
{
    const struct tern_tree *value =
        node->kind == TERN_TREE_MAP ? tern_tree_find(node, TERN_STR("value")) : node;

    return value == NULL || value->kind != TERN_TREE_SCALAR ? TERN_STR("") : value->text;
}

static uint64_t number_of(const struct reader *r, const struct tern_tree *node, uint64_t least,
                          uint64_t most)
{
    struct tern_str text = value_of(node);
    uint64_t v = 0;

    if (tern_num_parse_u64(text, most, &v) && v >= least)
        return v;
    tern_problem_add(r->problems, place_of(r, node),
                     "%.*s: expected a number from %llu to %llu, got \"%.*s\"",
                     TERN_STR_ARG(node->key), (unsigned long long)least, (unsigned long long)most,
                     TERN_STR_ARG(text));
    return least;
}

static void add_allowed(struct reader *r, const struct tern_tree *node)
{
    struct tern_batching_parameters *p = r->p;
    uint32_t before = p->n_allowed == 0 ? 0 : p->allowed[p->n_allowed - 1];

    if (p->n_allowed == TERN_SCHEDULING_PREFERRED_MAX) {
        tern_problem_add(r->problems, place_of(r, node), "allowed_batch_sizes: more than %u",
                         TERN_SCHEDULING_PREFERRED_MAX);
        return;
    }
    uint64_t v = number_of(r, node, 1, INT32_MAX);
    if (v <= before)
        tern_problem_add(r->problems, place_of(r, node),
                         "allowed_batch_sizes: expected more than the one before (%u), got %llu",
                         before, (unsigned long long)v);
    p->allowed[p->n_allowed++] = (uint32_t)v;
}

static bool says_yes(const struct tern_tree *node)
{
    return tern_str_eq(value_of(node), TERN_STR("true"));
}

static void read_field(struct reader *r, const struct tern_tree *node)
{
    /* Kept: they choose a thread pool, or how inputs of different lengths are padded together,
     * which need no padding here because they are not put together. */
    static const char *const kept[] = {"thread_pool_name",
                                       "pad_variable_length_inputs",
                                       "low_priority_max_batch_size",
                                       "low_priority_batch_timeout_micros",
                                       "low_priority_max_enqueued_batches",
                                       "low_priority_allowed_batch_sizes",
                                       "mixed_priority_policy",
                                       "batch_padding_policy"};

    if (tern_str_eq(node->key, TERN_STR("max_batch_size"))) {
        r->p->max_rows = (uint32_t)number_of(r, node, 1, INT32_MAX);
    } else if (tern_str_eq(node->key, TERN_STR("batch_timeout_micros"))) {
        r->p->delay_ns = number_of(r, node, 0, UINT64_MAX / TERN_NS_PER_US) * TERN_NS_PER_US;
    } else if (tern_str_eq(node->key, TERN_STR("max_enqueued_batches"))) {
        r->enqueued = number_of(r, node, 1, INT32_MAX);
    } else if (tern_str_eq(node->key, TERN_STR("num_batch_threads"))) {
        r->p->threads = (uint32_t)number_of(r, node, 1, TERN_SCHEDULING_INSTANCES_MAX);
    } else if (tern_str_eq(node->key, TERN_STR("allowed_batch_sizes"))) {
        for (const struct tern_tree *item = node->kind == TERN_TREE_LIST ? node->first : node;
             item != NULL; item = node->kind == TERN_TREE_LIST ? item->next : NULL)
            add_allowed(r, item);
    } else if (tern_str_eq(node->key, TERN_STR("enable_large_batch_splitting"))) {
        r->splits = says_yes(node);
    } else if (tern_str_eq(node->key, TERN_STR("max_execution_batch_size"))) {
        r->split_rows = number_of(r, node, 1, INT32_MAX);
    } else {
        for (size_t i = 0; i < TERN_COUNT_OF(kept); i++) {
            if (tern_str_eq(node->key, tern_str_of(kept[i])))
                return;
        }
        tern_problem_add(r->problems, place_of(r, node), "unknown field \"%.*s\"",
                         TERN_STR_ARG(node->key));
    }
}

/* A queue of batches, counted in requests: each may be one row. */
static uint32_t queue_size(const struct reader *r)
{
    uint64_t requests = r->enqueued * r->p->max_rows; /* both below 2^31 */

    return requests > UINT32_MAX ? UINT32_MAX : (uint32_t)requests;
}

void tern_batching_parameters_read(struct tern_str text, struct tern_str file,
                                   struct tern_arena *arena,
                                   struct tern_batching_parameters *ret_parameters,
                                   struct tern_problems *problems)
{
    const struct tern_tree *root = tern_pbtxt_tree_read(text, file, arena, problems);
    struct reader r = {
        .file = file, .problems = problems, .p = ret_parameters, .enqueued = MAX_ENQUEUED};

    *ret_parameters = (struct tern_batching_parameters){.max_rows = MAX_ROWS, .place = file};
    for (const struct tern_tree *node = root == NULL ? NULL : root->first; node != NULL;
         node = node->next)
        read_field(&r, node);
    ret_parameters->max_queue_size = queue_size(&r);
    /* A larger request is cut into runs of that size there; here it runs in one piece. */
    if (r.splits && r.split_rows > 0 && r.split_rows < ret_parameters->max_rows)
        ret_parameters->max_rows = (uint32_t)r.split_rows;
    uint32_t n = ret_parameters->n_allowed;
    if (n > 0 && ret_parameters->allowed[n - 1] != ret_parameters->max_rows)
        tern_problem_add(problems, file,
                         "allowed_batch_sizes: expected the last one to be the largest batch (%u), "
                         "got %u",
                         ret_parameters->max_rows, ret_parameters->allowed[n - 1]);
}

bool tern_batching_parameters_need_queue(const struct tern_batching_parameters *parameters)
{
    return parameters != NULL && (parameters->delay_ns > 0 || parameters->n_allowed > 0);
}
