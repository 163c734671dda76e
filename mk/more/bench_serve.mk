# The whole server beside its anchors; `make bench` runs every bench there is.
BENCH_SERVE_BIN := $(OUT)/bench/recv_loop

$(BENCH_SERVE_BIN): $(OUT)/%: $(OUT)/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)

-include $(BENCH_SERVE_BIN:=.d)

bench-serve: $(OUT)/tern $(OUT)/bench/null_epoll $(BENCH_SERVE_BIN) ## The whole server against a null server and a recv loop
	@TERN_ONNXRUNTIME="$${TERN_ONNXRUNTIME:-$$(scripts/get-onnxruntime 2>/dev/null)}" OUT=$(OUT) bench/serve.sh

bench: export QUICK ?= 1
bench: bench-numbers bench-oip bench-ort bench-stat bench-http bench-h2 bench-grpc bench-serve bench-shm bench-sched ## Every bench, each beside its anchor, as ratios

.PHONY: bench bench-serve
