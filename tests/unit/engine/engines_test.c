#include "engine/engines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void every_engine_has_what_it_must_have(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < tern_engines_count; i++) {
        const struct tern_engine_ops *ops = tern_engines[i];
        assert_true(ops->name[0] != 0);
        assert_true((ops->file_names[0] == NULL) == ops->fileless);
        assert_true(ops->available != NULL && ops->probe != NULL && ops->load != NULL &&
                    ops->unload != NULL && ops->instance_new != NULL &&
                    ops->instance_free != NULL && ops->infer != NULL);
    }
    tern_engines_close(); /* nothing was started: nothing to do */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_engine_has_what_it_must_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
