# gRPC beside a null nghttp2 server and grpc-core's C++ server. The latter is built when Debian's
# libgrpc++-dev and protobuf-compiler-grpc are there, from our own .proto files.
BENCH_GRPC_CORE := $(OUT)/bench/grpc_core_echo
BENCH_GRPC_GEN := $(OUT)/bench/grpc_gen
HAS_GRPC_CORE = $(shell command -v protoc >/dev/null && command -v grpc_cpp_plugin >/dev/null && \
    pkg-config --exists grpc++ protobuf && echo yes)

$(BENCH_GRPC_CORE): bench/grpc_core_echo.cc api/grpc_service.proto api/model_config.proto
	@mkdir -p $(BENCH_GRPC_GEN)
	$(call say,CXX,$<)
	$(Q)protoc -Iapi --cpp_out=$(BENCH_GRPC_GEN) --grpc_out=$(BENCH_GRPC_GEN) \
	  --plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) api/grpc_service.proto api/model_config.proto
	$(Q)$(CXX) -std=c++17 -O3 -march=native -DNDEBUG -I$(BENCH_GRPC_GEN) -o $@ $< \
	  $(BENCH_GRPC_GEN)/*.pb.cc $$(pkg-config --cflags --libs grpc++ protobuf) -pthread

bench-grpc: $(OUT)/tern $(OUT)/bench/null_h2 $(OUT)/bench/http_const ## gRPC calls a second against a null server and grpc-core (needs h2load)
	@$(if $(HAS_GRPC_CORE),$(MAKE) --no-print-directory $(BENCH_GRPC_CORE),rm -f $(BENCH_GRPC_CORE))
	@TERN_ONNXRUNTIME="$${TERN_ONNXRUNTIME:-$$(scripts/get-onnxruntime 2>/dev/null)}" OUT=$(OUT) bench/grpc.sh

.PHONY: bench-grpc
