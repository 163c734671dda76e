# HTTP/2 against its anchor: the constant-answer server on our stack, beside a null nghttp2 server.
BENCH_H2_BIN := $(OUT)/bench/null_h2

$(BENCH_H2_BIN): $(OUT)/%: $(OUT)/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)

-include $(BENCH_H2_BIN:=.d)

bench-h2: $(BENCH_H2_BIN) $(OUT)/bench/http_const ## HTTP/2 requests a second against a null nghttp2 server (needs h2load)
	@OUT=$(OUT) bench/h2.sh

.PHONY: bench-h2
