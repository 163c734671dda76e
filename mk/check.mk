# `make check`: what a reviewer should not have to look for.
C_FILES := $(sort $(wildcard src/*.c src/*/*.[ch] src/*/*/*.[ch] src/*/*/*/*.[ch] tests/unit/*/*.[ch] \
             tests/harness/*.[ch] tests/fuzz/*.[ch] tests/wire/*.[ch] bench/*.[ch]))
TIDY_FILES ?= $(sort $(wildcard src/*.c src/*/*.c src/*/*/*.c src/*/*/*/*.c))

check: check-layers check-banned check-docs check-tests check-format check-shell check-compilers check-tidy check-cppcheck ## Format, layers, static analysis, gcc and clang builds

check-layers:
	@scripts/check-layers

check-banned:
	@scripts/check-banned

check-docs:
	@scripts/check-docs

check-tests:
	@scripts/check-tests

check-format:
	@clang-format --dry-run -Werror $(C_FILES) && echo "format: $(words $(C_FILES)) files"

format: ## Formats every C file
	@clang-format -i $(C_FILES)

# Steps that build share the jobs of the make that called, or take every core.
CHECK_MAKE = $(MAKE) --no-print-directory -s $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

# The other builds of gcc are those of `make test`, which .ci/run makes with WERROR=1 too.
check-compilers:
	@+$(CHECK_MAKE) CC=gcc WERROR=1 OUT=build/check-gcc build/check-gcc/tern
	@+$(CHECK_MAKE) CC=clang WERROR=1 OUT=build/check-clang build/check-clang/tern objects-test
	@+$(CHECK_MAKE) CC=clang WERROR=1 MODE=asan OUT=build/check-clang-asan build/check-clang-asan/tern
	@echo "compilers: gcc and clang build without a warning"

objects-test: $(UNIT_BIN:=.o) $(REPLAY_BIN:%_replay=%.o) $(HARNESS_OBJ)

# A stamp a file: only what changed, or includes what changed, is looked at again.
TIDY_OK := $(TIDY_FILES:%.c=build/tidy/%.ok)

build/tidy/%.ok: %.c .clang-tidy
	@mkdir -p $(@D)
	$(call say,TIDY,$<)
	@clang-tidy --quiet $< -- -std=c17 $(CPPFLAGS) 2>/dev/null
	@$(CC) -MM -MP -MT $@ -MF $(@:.ok=.d) -std=c17 $(CPPFLAGS) $< && touch $@

tidy-files: $(TIDY_OK)
-include $(TIDY_OK:.ok=.d)

check-tidy:
	@+$(CHECK_MAKE) -k tidy-files
	@echo "clang-tidy: $(words $(TIDY_FILES)) files"

check-cppcheck:
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	  --suppress=missingIncludeSystem --error-exitcode=1 -j $(shell nproc) -Isrc src && \
	  echo "cppcheck: no finding"

SHELL_FILES := .ci/run $(shell grep -lE '^\#!.*(bash|sh)$$' scripts/*) $(wildcard bench/*.sh)
check-shell:
	@shellcheck -x $(SHELL_FILES) && echo "shellcheck: $(words $(SHELL_FILES)) files"

.PHONY: check check-layers check-banned check-format check-compilers check-tidy check-cppcheck \
  check-shell check-docs check-tests format objects-test tidy-files
