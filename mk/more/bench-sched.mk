# Batching, overload, neighbours, ensembles, the cache: open-loop load on models of known cost. Nothing
# but Python is needed. QUICK=1 takes a few minutes for all; ROUNDS sets how often each is repeated.
BENCH_SCHED := batching overload neighbour ensemble cache
$(BENCH_SCHED:%=bench-%): bench-%: $(OUT)/tern
	@TERN_ONNXRUNTIME="$${TERN_ONNXRUNTIME:-$$(scripts/get-onnxruntime 2>/dev/null)}" OUT=$(OUT) bench/$*.py

bench-sched: $(BENCH_SCHED:%=bench-%) ## Batching against a grid search, overload, neighbours, ensembles, the cache (QUICK=1)

.PHONY: bench-sched $(BENCH_SCHED:%=bench-%)
