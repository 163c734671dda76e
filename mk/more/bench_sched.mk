# Batching, overload, neighbours, ensembles, the cache: open-loop load on models of known cost. Nothing
# but Python is needed. QUICK=1 takes a few minutes each; ROUNDS sets how often each is repeated.
BENCH_SCHED := bench-batching bench-overload bench-neighbour bench-ensemble bench-cache
RUN_BENCH_SCHED = @TERN_ONNXRUNTIME="$${TERN_ONNXRUNTIME:-$$(scripts/get-onnxruntime 2>/dev/null)}" \
    OUT=$(OUT) $(@:bench-%=bench/%.py)

bench-batching: $(OUT)/tern ## Batching with nothing configured against a grid search (QUICK=1)
	$(RUN_BENCH_SCHED)

bench-overload: $(OUT)/tern ## Goodput, p99 and recovery at 1, 2 and 10 times the capacity (QUICK=1)
	$(RUN_BENCH_SCHED)

bench-neighbour: $(OUT)/tern ## A fast model beside a slow one (QUICK=1)
	$(RUN_BENCH_SCHED)

bench-ensemble: $(OUT)/tern ## An ensemble of two beside its slower part (QUICK=1)
	$(RUN_BENCH_SCHED)

bench-cache: $(OUT)/tern ## A cached answer beside a run (QUICK=1)
	$(RUN_BENCH_SCHED)

bench-sched: $(BENCH_SCHED) ## These five

.PHONY: bench-sched $(BENCH_SCHED)
