# What the Open Inference Protocol costs a request, without a connection and without a model.
BENCH_OIP := $(OUT)/bench/oip_bench $(OUT)/bench/oip_grpc_bench

$(BENCH_OIP:=.o): CPPFLAGS += $(TEST_CPPFLAGS)

$(BENCH_OIP): $(OUT)/%: $(OUT)/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)

-include $(BENCH_OIP:=.d)

bench-oip: $(BENCH_OIP) ## Nanoseconds to route, decode and encode an inference request, as JSON and over gRPC
	@for bench in $(BENCH_OIP); do $$bench; done

.PHONY: bench-oip
