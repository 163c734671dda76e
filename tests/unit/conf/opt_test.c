/* The option machinery over a small table of every type: sources, priority, bounds, misspellings.
 */
// covers: conf/opt_read conf/opt_value conf/tree conf/yaml
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "conf/opt.h"
#include "conf/yaml.h"

struct door {
    struct tern_str address;
    bool open;
    struct tern_str key;
};

struct safe {
    struct tern_opt_list owners;
    struct tern_str code;
};

enum colour {
    RED,
    GREEN,
    BLUE,
};

struct house {
    bool lit;
    uint64_t rooms;
    uint64_t attic;
    uint64_t nap;
    struct tern_str owner;
    enum colour colour;
    struct tern_opt_list guests;
    struct tern_opt_records doors;
    struct tern_opt_records safes;
    uint64_t secret;
};

static const char *const colours[] = {"red", "green", "blue", NULL};

static const struct tern_opt door_rows[] = {
    {.name = "address", .type = TERN_OPT_STRING, .offset = offsetof(struct door, address)},
    {.name = "open", .type = TERN_OPT_BOOL, .offset = offsetof(struct door, open)},
    {.name = "lock.key", .type = TERN_OPT_STRING, .offset = offsetof(struct door, key)},
};
static const struct tern_opt_record door_record = {
    .rows = door_rows, .n = 3, .size = sizeof(struct door)};

static const struct tern_opt safe_rows[] = {
    {.name = "owners", .type = TERN_OPT_LIST, .offset = offsetof(struct safe, owners), .max = 3},
    {.name = "code",
     .type = TERN_OPT_STRING,
     .offset = offsetof(struct safe, code),
     .flags = TERN_OPT_SECRET},
};
static const struct tern_opt_record safe_record = {
    .rows = safe_rows, .n = 2, .size = sizeof(struct safe)};

#define IN(field) .offset = offsetof(struct house, field)
static const struct tern_opt house_rows[] = {
    {.name = "lit", .type = TERN_OPT_BOOL, IN(lit), .preset = "true", .section = "House"},
    {.name = "house.rooms", .type = TERN_OPT_UINT, IN(rooms), .preset = "3", .min = 1, .max = 9},
    {.name = "house.attic_size",
     .type = TERN_OPT_SIZE,
     IN(attic),
     .preset = "64MiB",
     .min = 1024,
     .max = 1u << 30},
    {.name = "house.nap",
     .type = TERN_OPT_DURATION,
     IN(nap),
     .preset = "10s",
     .max = 3600000000000},
    {.name = "owner", .type = TERN_OPT_STRING, IN(owner), .letter = 'o'},
    {.name = "colour", .type = TERN_OPT_ENUM, IN(colour), .preset = "green", .values = colours},
    {.name = "guests", .type = TERN_OPT_LIST, IN(guests), .preset = "ann", .max = 4},
    {.name = "door",
     .type = TERN_OPT_RECORDS,
     IN(doors),
     .preset = "front",
     .max = 2,
     .record = &door_record},
    {.name = "safe", .type = TERN_OPT_RECORDS, IN(safes), .record = &safe_record},
    {.name = "secret", .type = TERN_OPT_UINT, IN(secret), .max = 9, .flags = TERN_OPT_FLAG},
};
static const struct tern_opt_table house_table = {house_rows, TERN_COUNT_OF(house_rows),
                                                  sizeof(struct house)};

struct world {
    struct tern_arena arena;
    struct tern_problems problems;
    struct tern_opt_load load;
    struct tern_opt_rest rest;
    struct house house;
    struct tern_buf said;
};

static int setup(void **state)
{
    static struct world world;
    tern_arena_init(&world.arena, 4096, 1u << 20);
    tern_problem_init(&world.problems, &world.arena);
    tern_buf_init(&world.said, 1u << 16);
    assert_int_equal(tern_opt_load_init(&world.load, &house_table, &world.house, &world.arena,
                                        &world.problems, NULL),
                     TERN_OK);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    tern_buf_fini(&w->said);
    tern_arena_fini(&w->arena);
    return 0;
}

static void read_flags(struct world *w, int argc, const char *const *argv)
{
    char *copy[16];
    for (int i = 0; i < argc; i++)
        copy[i] = (char *)(uintptr_t)argv[i];
    tern_opt_read_args(&w->load, argc, copy, &w->rest);
}
#define FLAGS(w, ...)                                                  \
    read_flags(w, (int)TERN_COUNT_OF(((const char *[]){__VA_ARGS__})), \
               (const char *[]){__VA_ARGS__})

static void read_env(struct world *w, const char *entry)
{
    char *environment[2] = {(char *)(uintptr_t)entry, NULL};
    tern_opt_read_env(&w->load, environment);
}

static void read_file(struct world *w, const char *text)
{
    const struct tern_tree *root = tern_yaml_read(tern_str_of(text), TERN_YAML_FORM_YAML,
                                                  TERN_STR("t.yaml"), &w->arena, &w->problems);
    if (root != NULL)
        tern_opt_read_tree(&w->load, TERN_STR("t.yaml"), root);
}

/* Everything in the problem list, as a person sees it. */
static const char *said(struct world *w)
{
    tern_buf_clear(&w->said);
    tern_problem_print(&w->problems, &w->said);
    tern_buf_add_char(&w->said, '\0');
    return w->said.p;
}

static const char *printed(struct world *w, const char *name)
{
    tern_buf_clear(&w->said);
    tern_opt_print(tern_opt_find(&house_table, tern_str_of(name)), &w->house, &w->said);
    tern_buf_add_char(&w->said, '\0');
    return w->said.p;
}

static void defaults_of_every_type(void **state)
{
    struct world *w = *state;
    assert_true(w->house.lit);
    assert_int_equal(w->house.rooms, 3);
    assert_int_equal(w->house.attic, 64u << 20);
    assert_int_equal(w->house.nap, 10000000000u);
    assert_int_equal(w->house.owner.n, 0);
    assert_int_equal(w->house.colour, GREEN);
    assert_int_equal(w->house.guests.n, 1);
    assert_int_equal(w->house.doors.n, 1);
    assert_string_equal(said(w), "");
}

static void flags_of_every_type(void **state)
{
    struct world *w = *state;
    FLAGS(w, "--no-lit", "--house-rooms=7", "--house-attic-size", "2k", "here", "--house-nap=250ms",
          "-o", "bob", "--colour", "blue", "--guests", "a,b", "--guests=c", "--", "--not-a-flag");
    assert_string_equal(said(w), "");
    assert_false(w->house.lit);
    assert_int_equal(w->house.rooms, 7);
    assert_string_equal(printed(w, "house.attic_size"), "2KiB");
    assert_string_equal(printed(w, "house.nap"), "250ms");
    assert_string_equal(w->house.owner.p, "bob");
    assert_int_equal(w->house.colour, BLUE);
    assert_string_equal(printed(w, "guests"), "a,b,c");
    assert_int_equal(w->rest.n, 2);
    assert_string_equal(w->rest.args[0].p, "here");
    assert_string_equal(w->rest.args[1].p, "--not-a-flag");
}

static void records_from_flags_and_file(void **state)
{
    struct world *w = *state;
    read_file(w, "door:\n  - address: side\n    open: yes\n    lock: {key: k1}\n  - back,key=k2\n");
    assert_string_equal(said(w), "");
    assert_string_equal(printed(w, "door"), "side,open,lock.key=k1;back,lock.key=k2");
    FLAGS(w, "--door", "cellar, open, lock.key=k3");
    assert_string_equal(printed(w, "door"), "cellar,open,lock.key=k3");
    FLAGS(w, "--door=x,opne", "--door=y");
    assert_string_equal(said(w), "flag --door: no such key: \"opne\"\n"
                                 "flag --door: at most 2 values are allowed\n");
}

static void lists_and_secrets_within_records(void **state)
{
    struct world *w = *state;
    struct tern_buf whole;
    read_file(w, "safe:\n  - {owners: [ann, bob], code: 1234}\n  - {owners: carl+dora}\n");
    assert_string_equal(said(w), "");
    assert_string_equal(printed(w, "safe"), "ann+bob,code=(hidden);carl+dora");
    tern_buf_init(&whole, 4096);
    tern_opt_print_whole(tern_opt_find(&house_table, TERN_STR("safe")), &w->house, &whole);
    assert_true(tern_str_eq(tern_buf_str(&whole), TERN_STR("ann+bob,code=1234;carl+dora")));
    tern_buf_fini(&whole);
    /* The end of a secret with a comma is not said either. */
    FLAGS(w, "--safe=ann,code=12,34");
    assert_string_equal(said(w), "flag --safe: a key that does not exist\n");
}

static void a_mistake_in_a_list_within_a_record(void **state)
{
    struct world *w = *state;
    read_file(w, "safe:\n  - owners: [a, b, c, d]\n  - owners: [[a]]\n");
    assert_string_equal(said(w), "t.yaml:2:23: safe: owners: at most 3 values are allowed\n"
                                 "t.yaml:3:14: safe: owners: every element must be a plain text\n");
}

static void records_of_fields(void **state)
{
    struct world *w = *state;
    const struct tern_opt *opt = tern_opt_find(&house_table, TERN_STR("safe"));
    const struct tern_opt_field fields[] = {
        {"code", TERN_STR("a,b;c")}, {"owners", TERN_STR("eve")}, {"colour", TERN_STR("red")}};
    tern_opt_add_record(&w->load, opt, TERN_OPT_FROM_FLAG, TERN_STR("here"), fields, 3);
    assert_string_equal(said(w), "here: no such key: colour\n");
    assert_int_equal(w->house.safes.n, 1);
    const struct safe *safe = w->house.safes.items;
    assert_string_equal(safe->code.p, "a,b;c");
    assert_string_equal(safe->owners.items[0].p, "eve");
}

static void a_flag_beats_the_environment_beats_the_file(void **state)
{
    struct world *w = *state;
    FLAGS(w, "--house-rooms=5");
    read_env(w, "TERN_HOUSE_ROOMS=6");
    read_env(w, "TERN_OWNER=env");
    read_env(w, "TERN_GUESTS=x,y");
    read_file(w, "house:\n  rooms: 7\n  nap: 1m\nowner: file\nguests: [z]\n");
    assert_string_equal(said(w), "");
    assert_int_equal(w->house.rooms, 5);
    assert_string_equal(w->house.owner.p, "env");
    assert_string_equal(printed(w, "house.nap"), "1m");
    assert_string_equal(printed(w, "guests"), "x,y");
    assert_int_equal(tern_opt_origin_of(&w->load, "house.rooms"), TERN_OPT_FROM_FLAG);
    assert_int_equal(tern_opt_origin_of(&w->load, "owner"), TERN_OPT_FROM_ENV);
    assert_int_equal(tern_opt_origin_of(&w->load, "house.nap"), TERN_OPT_FROM_FILE);
    assert_int_equal(tern_opt_origin_of(&w->load, "colour"), TERN_OPT_FROM_DEFAULT);
}

static void every_mistake_is_reported_at_its_place(void **state)
{
    struct world *w = *state;
    read_file(w, "lit: maybe\nhouse:\n  romms: 4\n  attic_size: 1\nsecret: 3\nguests: {a: 1}\n");
    read_env(w, "TERN_COLOUR=pink");
    FLAGS(w, "--colourr=red", "--house-rooms=12", "--owner");
    assert_string_equal(
        said(w), "t.yaml:1:6: lit: expected true or false, got \"maybe\"\n"
                 "t.yaml:3:3: no such option: house.romms, did you mean house.rooms?\n"
                 "t.yaml:4:15: house.attic_size: expected a size from 1KiB to 1GiB, got \"1\"\n"
                 "t.yaml:5:1: secret cannot be set in a file, only as a flag or variable\n"
                 "t.yaml:6:9: guests: expected a list, got a map\n"
                 "environment TERN_COLOUR: expected red, green or blue, got \"pink\"\n"
                 "flag --colourr: no such option, did you mean --colour?\n"
                 "flag --house-rooms: expected a number from 1 to 9, got \"12\"\n"
                 "flag --owner: needs a value\n");
    assert_true(w->house.lit);
    assert_int_equal(w->house.rooms, 3);
}

static void a_mistake_in_a_value_that_loses_is_reported_too(void **state)
{
    struct world *w = *state;
    FLAGS(w, "--house-rooms=5");
    read_file(w, "house: {rooms: many}\n");
    assert_string_equal(said(w),
                        "t.yaml:1:16: house.rooms: expected a number from 1 to 9, got \"many\"\n");
    assert_int_equal(w->house.rooms, 5);
}

static void foreign_variables_are_left_alone(void **state)
{
    struct world *w = *state;
    read_env(w, "TERN_PORT=tcp://10.0.0.1:8080");
    read_env(w, "TERN_SERVICE_HOST=10.0.0.1");
    read_env(w, "PATH=/bin");
    assert_string_equal(said(w), "");
    read_env(w, "TERN_HOUSE_ROMS=4");
    assert_string_equal(
        said(w), "environment TERN_HOUSE_ROMS: no such option, did you mean TERN_HOUSE_ROOMS?\n");
}

static void empty_groups_and_nulls_change_nothing(void **state)
{
    struct world *w = *state;
    read_file(w, "house:\nowner: ~\nguests:\nhouse.nap: 2s\n");
    assert_string_equal(said(w), "");
    assert_int_equal(w->house.guests.n, 1);
    assert_string_equal(printed(w, "house.nap"), "2s");
}

static void lists_are_bounded(void **state)
{
    struct world *w = *state;
    FLAGS(w, "--guests=a,b,c,d,e");
    assert_string_equal(said(w), "flag --guests: at most 4 values are allowed\n");
    assert_int_equal(w->house.guests.n, 4);
}

static void the_problem_list_is_bounded(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < TERN_PROBLEMS_MAX + 3; i++)
        FLAGS(w, "--nothing-like-it");
    assert_int_equal(w->problems.n, TERN_PROBLEMS_MAX);
    assert_int_equal(w->problems.n_dropped, 3);
    assert_non_null(strstr(said(w), "and 3 more\n"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(defaults_of_every_type),
        TEST(flags_of_every_type),
        TEST(records_from_flags_and_file),
        TEST(lists_and_secrets_within_records),
        TEST(a_mistake_in_a_list_within_a_record),
        TEST(records_of_fields),
        TEST(a_flag_beats_the_environment_beats_the_file),
        TEST(every_mistake_is_reported_at_its_place),
        TEST(a_mistake_in_a_value_that_loses_is_reported_too),
        TEST(foreign_variables_are_left_alone),
        TEST(empty_groups_and_nulls_change_nothing),
        TEST(lists_are_bounded),
        TEST(the_problem_list_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
