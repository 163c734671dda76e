# HTTP against its anchor: the constant-answer server on our stack, beside a null epoll server.
BENCH_HTTP_BIN := $(OUT)/bench/null_epoll $(OUT)/bench/http_const

$(BENCH_HTTP_BIN): $(OUT)/%: $(OUT)/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)

-include $(BENCH_HTTP_BIN:=.d)

bench-http: $(BENCH_HTTP_BIN) ## HTTP/1.1 requests a second against a null epoll server (needs wrk)
	@OUT=$(OUT) bench/http.sh

.PHONY: bench-http
