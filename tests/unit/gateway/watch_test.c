/* The watch of health: a call that stays open and answers when something changes. */
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc
#include "harness/stream_rig.h"

static void a_watch_tells_each_change(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/watch");
    say(w, "\n", true);
    expect(w, "<serving:1>");
    tern_gateway_set_snapshot(w->gateway, 0, &w->snapshot);
    w->snapshot.ready = false;
    tern_gateway_set_snapshot(w->gateway, 0, &w->snapshot);
    expect(w, "<serving:1><serving:2>");
    w->talk.stuck = true;
    w->snapshot.ready = true;
    tern_gateway_set_snapshot(w->gateway, 0, &w->snapshot);
    w->snapshot.ready = false; /* nobody reads: only the last state counts */
    tern_gateway_set_snapshot(w->gateway, 0, &w->snapshot);
    w->snapshot.ready = true;
    tern_gateway_set_snapshot(w->gateway, 0, &w->snapshot);
    w->talk.stuck = false;
    tern_exchange_set_unsent(&w->talk.x, 0);
    expect(w, "<serving:1><serving:2><serving:1><serving:1>");
    tern_gateway_set_draining(w->gateway);
    expect(w, "<serving:1><serving:2><serving:1><serving:1><serving:2>"
              "end:the server is shutting down");
    talk_over(w);
    talk_to(w, "/watch");
    say(w, "\n", true);
    expect(w, "<serving:2>end:well");
    talk_over(w);
    free_world(w);
}

static void a_watch_of_a_model(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/watch");
    say(w, "nosuch\n", true);
    expect(w, "<serving:3>");
    hang_up(w);
    talk_over(w);
    talk_to(w, "/watch");
    say(w, "fast\n", true);
    expect(w, "<serving:1>");
    hang_up(w);
    talk_over(w);
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watch_tells_each_change),
        cmocka_unit_test(a_watch_of_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
