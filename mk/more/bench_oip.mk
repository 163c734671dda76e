# What the Open Inference Protocol costs a request, without a connection and without a model.
BENCH_OIP := $(OUT)/bench/oip_bench

$(OUT)/bench/oip_bench.o: CPPFLAGS += $(TEST_CPPFLAGS)

$(BENCH_OIP): $(BENCH_OIP).o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)

-include $(BENCH_OIP).d

bench-oip: $(BENCH_OIP) ## Nanoseconds to route, decode and encode an inference request
	$(BENCH_OIP)

.PHONY: bench-oip
