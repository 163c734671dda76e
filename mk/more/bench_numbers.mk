# Numbers in JSON against simdjson and the C++ library. The peers are compiled for this machine,
# which is what simdjson's On-Demand front end needs to use its best kernel; Tern's objects are the
# ones that ship. `make bench-numbers ARGS=101` takes more turns, `ARGS=all-floats` tests all floats.
BENCH_NUMBERS := $(OUT)/bench/numbers_bench
BENCH_CXXFLAGS ?= -std=c++17 -O3 -march=native -DNDEBUG

$(BENCH_NUMBERS): bench/numbers_bench.cc $(LIB)
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) $(BENCH_CXXFLAGS) -Isrc -o $@ $< $(LIB) -lsimdjson -pthread

bench-numbers: $(BENCH_NUMBERS) ## JSON numbers against simdjson and <charconv> (needs libsimdjson-dev)
	$(BENCH_NUMBERS) $(ARGS)

.PHONY: bench-numbers
