/* The slots of instances: each instance has a board, whose rows are the slots of the sequences that
 * it serves. A run is a batch over the rows up to the last one that has a request. Where the model
 * has a READY control, rows without one are there too and say so; else they are left out. What does
 * not fit to the first request (other shapes, other tensors) waits for the next run.
 *
 * A board has one run at a time. One that is predicted to be quicker than waking a thread is run by
 * the loop that put it together; nobody else uses the instance meanwhile. A longer one is the
 * lane's, which sees it as one work that only this instance may run.
 * Requests that come meanwhile wait in their sequences, and there are no two of one sequence in a
 * run. */
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "sched/batch_bucket.h"
#include "sched/lane.h"
#include "sched/rate.h"
#include "sched/sched_int.h"
#include "sched/sequence_int.h"

#define KEEP_MAX  ((size_t)4 << 20) /* of memory that an idle batch holds on to */
#define EMPTY_MAX ((size_t)1 << 30) /* of rows without a request */

struct sequence_board {
    struct tern_sequences *table;
    uint32_t index;        /* of the instance */
    uint32_t n_rows;       /* slots */
    struct tern_list link; /* in table->stirred, or in sequence_calls.boards */
    bool is_busy;          /* its run is not over; what follows is the run's meanwhile */
    bool is_submitted;     /* under the lock: the lane has it */
    uint32_t n_wanted;     /* under the lock: requests of the run that somebody waits for */
    struct tern_sequence_member **members; /* one a row of the run; NULL: an empty row */
    struct tern_work **works;              /* the same */
    uint32_t n;                            /* rows of the run */
    struct tern_work work;                 /* what the lane sees */
    struct tern_run_joined joined;
    struct tern_work empty; /* the rows without a request */
    struct tern_engine_again empty_again;
    struct tern_arena arena;
    struct tern_err err, empty_err;
    struct tern_loop_task ended;
    struct tern_rate rate; /* who has the run learns */
};

bool tern_sequence_is_direct(const struct tern_model_version *version)
{
    const struct tern_sequencing *sequencing = version->sequencing;

    return sequencing != NULL && sequencing->direct && !version->info.decoupled &&
           version->n_loop_instances == 0 && version->n_instances > 0 &&
           version->sequence_slots <= sequencing->slots_per_instance * version->n_instances;
}

/* ---- slots, under the lock ---- */

static struct sequence_board *board_of(const struct tern_sequences *table,
                                       const struct sequence *sequence)
{
    return &table->boards[sequence->slot % table->n_boards];
}

void sequence_board_stir(struct tern_sequences *table, const struct sequence *sequence)
{
    if (table->boards == NULL)
        return;
    struct sequence_board *board = board_of(table, sequence);
    if (!board->is_busy && tern_list_is_empty(&board->link))
        tern_list_append(&table->stirred, &board->link);
}

void sequence_board_seat(struct tern_sequences *table, struct sequence *sequence)
{
    uint32_t slot = 0;

    if (table->boards == NULL)
        return;
    while (table->slots[slot] != NULL)
        slot++;
    table->slots[slot] = sequence;
    sequence->slot = slot;
}

void sequence_board_leave(struct tern_sequences *table, struct sequence *sequence)
{
    if (table->boards != NULL)
        table->slots[sequence->slot] = NULL;
}

/* The request that could run in a row now. */
static struct tern_sequence_member *ready_in(const struct sequence_board *board, uint32_t row)
{
    const struct tern_sequences *table = board->table;
    uint32_t slot = row * table->n_boards + board->index;
    const struct sequence *sequence =
        slot < table->version->sequence_slots ? table->slots[slot] : NULL;

    if (sequence == NULL || sequence->running != NULL)
        return NULL;
    return sequence_first(sequence);
}

/* ---- when to run, under the lock ---- */

static bool is_held(struct tern_sequences *table)
{
    uint32_t held = atomic_load_explicit(&table->n_held, memory_order_relaxed), backlog = 0;

    if (TERN_LIKELY(table->hold_until == 0))
        return false;
    for (struct tern_list *at = table->backlog.next; at != &table->backlog; at = at->next) {
        const struct sequence *sequence = TERN_CONTAINER_OF(at, struct sequence, link);
        for (struct tern_list *m = sequence->waiting.next; m != &sequence->waiting; m = m->next)
            backlog++;
    }
    if (held - backlog < table->hold_until || backlog < table->hold_backlog)
        return true;
    table->hold_until = 0;
    return false;
}

static uint64_t due_of(const struct tern_sequencing *sequencing,
                       const struct tern_sequence_member *m)
{
    uint64_t delay = sequencing->max_delay_ns;

    return delay > UINT64_MAX - m->queued_ns ? UINT64_MAX : m->queued_ns + delay;
}

uint64_t sequence_board_due(const struct tern_sequences *table,
                            const struct tern_sequence_member *m)
{
    const struct tern_sequencing *sequencing = table->version->sequencing;

    if (table->boards == NULL || sequencing->least_utilization <= 0)
        return UINT64_MAX;
    return due_of(sequencing, m);
}

/* The rows of a run that should begin now: up to the last one with a request; 0: not now. */
static uint32_t count_rows(const struct sequence_board *board, uint64_t now)
{
    const struct tern_sequencing *sequencing = board->table->version->sequencing;
    uint32_t n = 0, ready = 0;
    bool is_due = false;

    for (uint32_t row = 0; row < board->n_rows; row++) {
        const struct tern_sequence_member *m = ready_in(board, row);
        if (m == NULL)
            continue;
        n = row + 1;
        ready++;
        is_due |= now >= due_of(sequencing, m);
    }
    if (is_due || (double)ready >= sequencing->least_utilization * (double)board->n_rows)
        return n;
    return 0;
}

/* ---- a run is put together, under the lock ---- */

static void prepare(struct tern_work *work)
{
    work->code = TERN_OK;
    work->expired = false;
    work->batch_rows = 0;
    work->leads_batch = false;
    atomic_init(&work->cancelled, false);
    work->run.cancelled = &work->cancelled;
}

/* The request of a row that fits to the first one's, whose key this is (UINT64_MAX: it is the
 * first). A key of 0 fits to nothing. */
static struct tern_sequence_member *take_from(struct sequence_board *board, uint32_t row,
                                              uint64_t *key)
{
    struct tern_sequences *table = board->table;
    struct tern_sequence_member *m = ready_in(board, row);

    if (m == NULL || *key == 0)
        return NULL;
    sequence_show_states(m);
    uint64_t own = tern_batch_key(table->version, &m->work->run);
    if (*key != UINT64_MAX && own != *key)
        return NULL;
    *key = own;
    prepare(m->work);
    sequence_take(table, m);
    board->n_wanted++;
    board->work.units += m->work->units;
    return m;
}

static void take_run(struct sequence_board *board, uint32_t n_rows)
{
    bool shows_empty = board->table->version->sequencing->says_ready;
    struct tern_sequence_member *m = NULL, *last = NULL;
    uint64_t key = UINT64_MAX;

    board->n = board->n_wanted = 0;
    board->work.units = 0;
    for (uint32_t row = 0; row < n_rows; row++) {
        m = take_from(board, row, &key);
        last = m != NULL ? m : last;
        if (m != NULL || shows_empty)
            board->members[board->n++] = m;
    }
    if (key == 0) { /* not even with empty rows */
        board->members[0] = last;
        board->n = 1;
    }
}

void sequence_boards_look(struct tern_sequences *table, uint64_t now, struct sequence_calls *calls)
{
    struct tern_list *link, *at;
    struct tern_err err;

    if (is_held(table))
        return; /* whoever changed something stays in the list */
    for (at = table->stirred.next; at != &table->stirred;) {
        struct sequence_board *board = TERN_CONTAINER_OF(at, struct sequence_board, link);
        link = at;
        at = at->next;
        tern_list_remove(link);
        uint32_t n = board->is_busy ? 0 : count_rows(board, now);
        if (n == 0)
            continue; /* the timers of those that wait will stir it */
        take_run(board, n);
        board->is_busy = true;
        board->is_submitted = false;
        board->joined.batch = NULL;
        if (tern_batch_take(table->pool, &board->joined.batch, &err) != TERN_OK)
            board->joined.batch = NULL; /* one by one, then */
        tern_list_append(&calls->boards, &board->link);
    }
}

/* ---- rows without a request ---- */

static enum tern_code fill_input(const struct sequence_board *board, struct tern_tensor *input,
                                 uint32_t spec, struct tern_arena *arena, struct tern_err *err)
{
    const struct tern_sequencing *sequencing = board->table->version->sequencing;
    size_t count = 0;

    /* Empty texts are nothing but their lengths. */
    if (input->dtype == TERN_DTYPE_BYTES)
        input->n_bytes = tern_shape_count(&input->shape, &count) ? 4 * count : 0;
    input->data = tern_arena_zalloc(arena, input->n_bytes + 8, 1);
    if (input->data == NULL)
        return tern_arena_fail(arena, err, "the rows without a request");
    input->region = NULL;
    for (uint32_t i = 0; i < sequencing->n_controls; i++) {
        const struct tern_control *control = &sequencing->controls[i];
        if (control->input == spec && control->kind != TERN_CONTROL_CORRID)
            memcpy(input->data, &control->bits[0], sizeof(control->bits[0]));
    }
    return TERN_OK;
}

/* Shaped like a request that is there. */
static enum tern_code make_empty(struct sequence_board *board, const struct tern_work *like)
{
    struct tern_work *empty = &board->empty;
    struct tern_arena *arena = &board->arena;
    const struct tern_engine_run *run = &like->run;
    struct tern_tensor *inputs = tern_arena_zalloc(arena, run->n_inputs + 1, sizeof(*inputs));
    struct tern_tensor *outputs = tern_arena_zalloc(arena, run->n_outputs + 1, sizeof(*outputs));

    *empty = (struct tern_work){.version = like->version, .run = *run, .rows = 1};
    empty->err = &board->empty_err;
    empty->run.arena = arena;
    atomic_init(&empty->cancelled, false);
    empty->run.cancelled = &empty->cancelled;
    board->empty_again = (struct tern_engine_again){.n = 0};
    if (run->again != NULL)
        empty->run.again = &board->empty_again;
    if (inputs == NULL || outputs == NULL)
        return tern_arena_fail(arena, &board->err, "the rows without a request");
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        inputs[i] = run->inputs[i];
        TERN_TRY(fill_input(board, &inputs[i], run->input_spec[i], arena, &board->err));
    }
    memcpy(outputs, run->outputs, run->n_outputs * sizeof(*outputs));
    empty->run.inputs = inputs;
    empty->run.outputs = outputs;
    return TERN_OK;
}

/* ---- a run ---- */

/* The run is over: its members go on, and their loops are told. */
static void end_run(struct sequence_board *board)
{
    struct tern_sequences *table = board->table;
    struct tern_loop *here = board->work.loop;
    struct sequence_calls calls;

    sequence_calls_init(&calls);
    for (uint32_t i = 0; i < board->n; i++) {
        struct tern_sequence_member *m = board->members[i];
        if (m != NULL && m->work->code == TERN_OK)
            m->work->code = sequence_keep_states(m);
    }
    pthread_mutex_lock(&table->lock);
    board->is_busy = false;
    for (uint32_t i = 0; i < board->n; i++) {
        struct tern_sequence_member *m = board->members[i];
        if (m == NULL)
            continue;
        if (sequence_runs_again(m, m->is_unwanted)) {
            sequence_give_back(table, m, &calls);
            continue;
        }
        m->state = CALLED;
        m->fate = ANSWERED;
        sequence_leave(table, m, m->work->started_ns != 0, &calls);
        tern_list_append(&calls.members, &m->link);
    }
    /* Those of other sequences that did not fit, or came for a row that stays. */
    if (tern_list_is_empty(&board->link))
        tern_list_append(&table->stirred, &board->link);
    tern_arena_reset(&board->arena);
    sequence_settle(table, tern_clock_mono_ns(), &calls);
    pthread_mutex_unlock(&table->lock);
    sequence_tell(&calls, here);
}

static void on_ended(struct tern_loop_task *task)
{
    end_run(TERN_CONTAINER_OF(task, struct sequence_board, ended));
}

/* What the lane says of the run holds for all in it. */
static void on_done(struct tern_work *work)
{
    struct sequence_board *board = TERN_CONTAINER_OF(work, struct sequence_board, work);
    bool ran = work->started_ns != 0, leads = true;

    if (!ran && board->joined.batch != NULL)
        tern_batch_give_back(board->joined.batch);
    for (uint32_t i = 0; i < board->n; i++) {
        struct tern_sequence_member *m = board->members[i];
        if (m == NULL)
            continue;
        m->work->started_ns = work->started_ns;
        m->work->finished_ns = work->finished_ns;
        if (board->joined.was_one) {
            m->work->leads_batch = leads;
            leads = false;
        }
        if (!ran) {
            m->work->code = work->code;
            *m->work->err = board->err;
        }
    }
    /* Not from within submit, whose caller still needs the board. */
    if (ran && board->joined.was_one)
        tern_rate_learn(&board->rate, work->finished_ns - work->started_ns, work->units);
    board->ended.run = on_ended;
    tern_loop_defer(work->loop, &board->ended);
}

/* A request of the run: there is one. */
static const struct tern_work *any_of(const struct sequence_board *board)
{
    uint32_t i = 0;

    while (board->members[i] == NULL)
        i++;
    return board->members[i]->work;
}

static enum tern_code fill_run(struct sequence_board *board)
{
    bool has_empty = false;

    for (uint32_t i = 0; i < board->n; i++)
        has_empty |= board->members[i] == NULL;
    for (uint32_t i = 0; i < board->n; i++)
        board->works[i] = board->members[i] == NULL ? &board->empty : board->members[i]->work;
    return has_empty ? make_empty(board, any_of(board)) : TERN_OK;
}

static bool is_quick(struct sequence_board *board)
{
    const struct tern_sched *sched = board->table->sched;
    uint64_t most_ns = tern_sched_inline_max_ns(sched);

    if (sched->resources != NULL)
        return false; /* instances wait for theirs in the lane */
    if (tern_rate_predict_ns(&board->rate, board->work.units) <= most_ns)
        return true;
    tern_rate_fade(&board->rate);
    return false;
}

static void run_here(struct sequence_board *board)
{
    struct tern_work *work = &board->work;

    atomic_init(&work->cancelled, false);
    work->instance = work->version->instances[board->index];
    work->started_ns = tern_clock_mono_ns();
    tern_run_joined(work);
    work->finished_ns = tern_clock_mono_ns();
    on_done(work);
}

/* Without the lock: whoever was cancelled since the run was taken could not stop it yet. */
static void note_submitted(struct sequence_board *board)
{
    struct tern_sequences *table = board->table;

    pthread_mutex_lock(&table->lock);
    board->is_submitted = true;
    if (board->n_wanted == 0)
        tern_lane_interrupt(table->sched, &board->work);
    pthread_mutex_unlock(&table->lock);
}

void sequence_board_start(struct tern_list *link, struct tern_loop *here)
{
    struct sequence_board *board = TERN_CONTAINER_OF(link, struct sequence_board, link);
    struct tern_work *work = &board->work;

    *work = (struct tern_work){
        .version = any_of(board)->version,
        .units = work->units,
        .rows = 1,
        .has_own_deadline = true, /* each request has its own */
        .loop = here,
        .on_done = on_done,
        .err = &board->err,
        .pin = board->index + 1,
        .joined = &board->joined,
    };
    work->run.arena = &board->arena;
    enum tern_code code = fill_run(board);
    board->joined.works = board->works;
    board->joined.n = board->n;
    board->joined.was_one = false;
    if (code != TERN_OK) {
        work->code = code;
        on_done(work);
        return;
    }
    if (is_quick(board)) {
        run_here(board);
        return;
    }
    tern_lane_submit(board->table->sched, work);
    note_submitted(board);
}

void sequence_board_unwant(struct tern_sequences *table, struct tern_sequence_member *m)
{
    if (table->boards == NULL || m->is_unwanted || m->sequence == NULL)
        return;
    struct sequence_board *board = board_of(table, m->sequence);
    m->is_unwanted = true;
    if (--board->n_wanted == 0 && board->is_submitted)
        tern_lane_interrupt(table->sched, &board->work);
}

/* ---- life ---- */

static enum tern_code board_init(struct tern_sequences *table, uint32_t index, struct tern_err *err)
{
    struct sequence_board *board = &table->boards[index];
    uint32_t n = (uint32_t)table->version->sequencing->slots_per_instance;

    board->table = table;
    board->index = index;
    board->n_rows = n;
    tern_list_init(&board->link);
    tern_arena_init(&board->arena, 4096, EMPTY_MAX);
    tern_rate_init(&board->rate, table->version->run_ns, table->version->warm_units);
    board->members = tern_mem_zalloc(n, sizeof(void *));
    board->works = tern_mem_zalloc(n, sizeof(void *));
    if (board->members == NULL || board->works == NULL)
        return tern_mem_fail(err, "the slots of an instance", n * sizeof(void *));
    return TERN_OK;
}

enum tern_code sequence_boards_new(struct tern_sequences *table, struct tern_err *err)
{
    const struct tern_batch_settings batches = {
        .memory_max = TERN_RUN_MEMORY_MAX, .keep_max = KEEP_MAX, .idle_max = 8};
    const struct tern_model_version *version = table->version;
    uint32_t n = version->n_instances;

    table->slots = tern_mem_zalloc(version->sequence_slots, sizeof(void *));
    table->boards = tern_mem_zalloc(n, sizeof(*table->boards));
    if (table->slots == NULL || table->boards == NULL)
        return tern_mem_fail(err, "the slots of sequences", n * sizeof(*table->boards));
    for (; table->n_boards < n; table->n_boards++)
        TERN_TRY(board_init(table, table->n_boards, err));
    return tern_batch_pool_new(&batches, &table->pool, err);
}

void sequence_boards_free(struct tern_sequences *table)
{
    uint32_t n = table->boards == NULL ? 0 : table->version->n_instances;

    for (uint32_t i = 0; i < n; i++) {
        struct sequence_board *board = &table->boards[i];
        tern_mem_free(board->members);
        tern_mem_free(board->works);
        if (board->table != NULL)
            tern_arena_fini(&board->arena);
    }
    tern_batch_pool_close(table->pool);
    tern_mem_free(table->boards);
    tern_mem_free(table->slots);
}
