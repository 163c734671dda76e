# Tern: `make` builds build/release/tern (also reachable as build/tern). `make help` lists the rest.
# One non-recursive GNU Makefile; sources and tests are found by their place in the tree.
.DEFAULT_GOAL := all
include mk/flags.mk

OUT ?= build/$(MODE)
V ?= 0
Q := $(if $(filter 0,$(V)),@)
say = $(if $(filter 0,$(V)),@printf '  %-5s %s\n' $(1) $(2))
# src/edge is compiled by what it is packed into (mk/more/edge.mk).
SRC := $(filter-out src/edge/%,$(sort $(wildcard src/*/*.c src/*/*/*.c src/*/*/*/*.c)))
OBJ := $(SRC:%.c=$(OUT)/%.o)
LIB := $(OUT)/libtern.a

all: $(OUT)/tern ## Build the server (MODE=release|asan|tsan, CC=gcc|clang)

$(OUT)/tern: $(OUT)/src/main.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)
ifeq ($(MODE),release)
	@ln -sf release/tern build/tern
endif

$(LIB): $(OBJ)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(CFLAGS_$(notdir $*)) -MMD -MP -c -o $@ $<

-include $(OBJ:.o=.d) $(OUT)/src/main.d

include mk/tests.mk
include mk/check.mk
include $(wildcard mk/more/*.mk)

clean: ## Remove everything that was built
	rm -rf build

help: ## This list
	@awk 'BEGIN{FS=":.*## "} /^[a-z-]+:.*## /{printf "  make %-14s %s\n",$$1,$$2}' $(MAKEFILE_LIST)

.PHONY: all clean help
