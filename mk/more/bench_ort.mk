# The ONNX engine beside a bare loop over the library's own Run, in one process.
ORT_BENCH := $(OUT)/bench/ort_bench

$(ORT_BENCH): $(OUT)/bench/ort_bench.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)

-include $(ORT_BENCH).d

bench-ort: $(ORT_BENCH) ## What the ONNX engine adds to ONNX Runtime, and how it scales
	@TERN_ONNXRUNTIME="$${TERN_ONNXRUNTIME:-$$(scripts/get-onnxruntime 2>/dev/null)}" $(ORT_BENCH)

.PHONY: bench-ort
