# Unit tests mirror src/: tests/unit/<dir>/<mod>_test.c becomes one program each. A file may ask for
# link-time seams with a line `// wrap: tern_mem_alloc tern_clock_mono_ns`: each named function then
# goes through __wrap_<name> of that file (ld --wrap), which is how failures are injected.
# Fuzz targets are linked with a plain main here and replay their corpus as ordinary tests.
UNIT_SRC := $(sort $(wildcard tests/unit/*/*_test.c))
UNIT_BIN := $(UNIT_SRC:%.c=$(OUT)/%)
FUZZ_SRC := $(sort $(wildcard tests/fuzz/*_fuzz.c))
REPLAY_BIN := $(FUZZ_SRC:%.c=$(OUT)/%_replay)
HARNESS_OBJ := $(patsubst %.c,$(OUT)/%.o,$(sort $(wildcard tests/harness/*.c)))

TEST_CPPFLAGS := -Itests
TEST_LIBS := $(shell pkg-config --libs cmocka openssl 2>/dev/null)
wrap_flags = $(patsubst %,-Wl$(comma)--wrap=%,$(shell sed -n 's|^// wrap:||p' $(1)))
comma := ,

$(OUT)/tests/%.o: CPPFLAGS += $(TEST_CPPFLAGS)
# clang takes a long string in a table of strings for a forgotten comma.
ifneq ($(IS_CLANG),)
$(OUT)/tests/%.o: CFLAGS_ALL += -Wno-string-concatenation -Wno-string-plus-int
endif

$(UNIT_BIN): $(OUT)/%: $(OUT)/%.o $(HARNESS_OBJ) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(call wrap_flags,$*.c) -o $@ $^ $(LDLIBS) $(TEST_LIBS)

$(REPLAY_BIN): $(OUT)/%_replay: $(OUT)/%.o $(OUT)/tests/fuzz/replay_main.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)

-include $(UNIT_BIN:=.d) $(FUZZ_SRC:%.c=$(OUT)/%.d) $(HARNESS_OBJ:.o=.d)

test-unit: $(UNIT_BIN) $(REPLAY_BIN) ## Unit tests and fuzz corpora
	@OUT=$(OUT) scripts/run-tests $(UNIT_BIN) $(REPLAY_BIN)

# What more than one thread touches: these run under ThreadSanitizer (MODE=tsan).
THREAD_DIRS := os stat trace engine sched registry net gateway
# Not what forks instead: a signal that comes just before a system call waits for its end there.
THREAD_BIN := $(filter-out %/supervise_test, \
    $(foreach dir,$(THREAD_DIRS),$(filter $(OUT)/tests/unit/$(dir)/%,$(UNIT_BIN))))
test-threads: $(THREAD_BIN)
	@TSAN_OPTIONS="suppressions=tests/harness/tsan.supp $(TSAN_OPTIONS)" OUT=$(OUT) scripts/run-tests $(THREAD_BIN)

test: ## Everything: unit, wire, fuzz corpora, sanitizers, end to end
	@scripts/test-all

soak: all ## Everything at once for SECONDS=60, every answer checked, memory watched (SEED=1)
	@TERN_SOAK_SECONDS=$(or $(SECONDS),60) TERN_SOAK_SEED=$(or $(SEED),1) TERN_BIN=$(OUT)/tern scripts/soak

.PHONY: test test-unit test-threads soak
.SECONDARY:
