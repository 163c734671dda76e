# What metrics, logs and traces cost.
STAT_BENCH := $(OUT)/bench/stat_bench

$(STAT_BENCH): $(OUT)/bench/stat_bench.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)

-include $(STAT_BENCH).d

bench-stat: $(STAT_BENCH) ## What a metric, a scrape of 1000 models and a log line cost
	@$(STAT_BENCH)

.PHONY: bench-stat
