# Compiler flags, shared by every target. MODE picks the kind of build; each has its own folder.
#   release  what ships: -O2, hardened, assertions of cheap invariants kept
#   asan     AddressSanitizer + UndefinedBehaviorSanitizer
#   tsan     ThreadSanitizer
#   fuzz     libFuzzer (needs clang)
MODE ?= release
ifeq ($(origin CC),default)
CC := gcc
endif

IS_CLANG := $(shell $(CC) --version 2>/dev/null | grep -qi clang && echo 1)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
        -Wmissing-prototypes -Wvla -Walloca -Wformat=2 -Wundef -Wcast-qual -Wwrite-strings \
        -Wswitch-enum -Wnull-dereference -Wold-style-definition
ifeq ($(IS_CLANG),)
WARN += -Wcast-align=strict -Wduplicated-cond -Wduplicated-branches -Wlogical-op \
        -Wimplicit-fallthrough=5 -Wjump-misses-init
else
WARN += -Wimplicit-fallthrough -Wno-gnu-zero-variadic-macro-arguments
endif
# Off for whoever builds with a compiler we have not met; `make check` turns it on.
WERROR ?= 0
ifeq ($(WERROR),1)
WARN += -Werror
endif

HARDEN := -fno-common -fstack-protector-strong -fvisibility=hidden -fPIE
HARDEN_LD := -pie -Wl,-z,relro,-z,now
ifeq ($(MODE),release)
OPT := -O2 -g -D_FORTIFY_SOURCE=2
# Not -ftrivial-auto-var-init: gcc 12 clears the padding of nested structs at wrong places, over
# what an initialiser has put there.
ifeq ($(IS_CLANG),)
HARDEN += -fstack-clash-protection
endif
endif
ifeq ($(MODE),asan)
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
endif
ifeq ($(MODE),tsan)
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
endif
ifeq ($(MODE),fuzz)
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
       -fno-sanitize-recover=all
endif

PKGS := openssl libnghttp2 zlib libzstd jansson libfyaml libpcre2-8 expat
CPPFLAGS += -Isrc -D_GNU_SOURCE $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS_ALL := -std=c17 $(OPT) $(WARN) $(HARDEN) -pthread $(CFLAGS)
LDFLAGS_ALL := $(OPT) $(HARDEN_LD) -pthread $(LDFLAGS)
# OpenSSL is loaded when TLS is configured (net/openssl.h): only tests, as clients, link with it.
LDLIBS += $(shell pkg-config --libs $(filter-out openssl,$(PKGS)) 2>/dev/null) -ldl -lm
