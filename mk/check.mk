# `make check`: what a reviewer should not have to look for.
C_FILES := $(sort $(wildcard src/*.c src/*/*.[ch] src/*/*/*.[ch] tests/unit/*/*.[ch] \
             tests/harness/*.[ch] tests/fuzz/*.[ch] tests/wire/*.[ch] bench/*.[ch]))
TIDY_FILES ?= $(sort $(wildcard src/*.c src/*/*.c src/*/*/*.c))

check: check-layers check-banned check-format check-compilers check-tidy check-cppcheck ## Format, layers, clang-tidy, cppcheck, gcc and clang builds

check-layers:
	@scripts/check-layers

check-banned:
	@scripts/check-banned

check-format:
	@clang-format --dry-run -Werror $(C_FILES) && echo "format: $(words $(C_FILES)) files"

format: ## Formats every C file
	@clang-format -i $(C_FILES)

check-compilers:
	@$(MAKE) --no-print-directory -s CC=gcc WERROR=1 OUT=build/check-gcc build/check-gcc/tern
	@$(MAKE) --no-print-directory -s CC=clang WERROR=1 OUT=build/check-clang build/check-clang/tern
	@echo "compilers: gcc and clang build without a warning"

check-tidy:
	@printf '%s\n' $(TIDY_FILES) | xargs -P 2 -n 8 sh -c 'clang-tidy --quiet "$$@" -- -std=c17 $(CPPFLAGS) 2>/dev/null' tidy && \
	  echo "clang-tidy: $(words $(TIDY_FILES)) files"

check-cppcheck:
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	  --suppress=missingIncludeSystem --error-exitcode=1 -j 2 -Isrc src && echo "cppcheck: no finding"

.PHONY: check check-layers check-banned check-format check-compilers check-tidy check-cppcheck format
