# `make fuzz` looks for new inputs: each target in turn under libFuzzer with AddressSanitizer and
# UndefinedBehaviorSanitizer. What it finds lands in build/fuzz/found; put it into the corpus with the
# fix. FUZZ_SECONDS each, FUZZ=json picks one.
FUZZ_SECONDS ?= 30
FUZZ ?= *
FUZZ_BIN := $(patsubst %.c,$(OUT)/%,$(sort $(wildcard tests/fuzz/$(FUZZ)_fuzz.c)))

ifeq ($(MODE),fuzz)
$(FUZZ_BIN): $(OUT)/%: $(OUT)/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

fuzz-run: $(FUZZ_BIN)
	@mkdir -p $(OUT)/found $(addprefix $(OUT)/new/,$(notdir $(FUZZ_BIN)))
	@for bin in $(FUZZ_BIN); do \
	  name=$$(basename $$bin _fuzz); \
	  printf '%-16s ' $$name; \
	  if $$bin -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	      -artifact_prefix=$(OUT)/found/$$name- $(OUT)/new/$${name}_fuzz tests/fuzz/corpus/$$name \
	      >$(OUT)/$$name.log 2>&1; then \
	    awk '/number_of_executed_units/ { print $$2 " inputs, nothing found" }' $(OUT)/$$name.log; \
	  else \
	    echo "FOUND, see $(OUT)/$$name.log"; tail -n 30 $(OUT)/$$name.log; exit 1; \
	  fi; \
	done
endif

fuzz: ## Fuzzes every parser for FUZZ_SECONDS=30 each (needs clang); FUZZ=json for one
	@$(MAKE) --no-print-directory MODE=fuzz CC=clang fuzz-run

.PHONY: fuzz fuzz-run
