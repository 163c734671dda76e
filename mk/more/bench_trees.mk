# Trees beside the libraries that train and compile them. They come with the oracle tests' Python.
TREES_BENCH := $(OUT)/bench/trees_bench

$(TREES_BENCH): $(OUT)/bench/trees_bench.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)

-include $(TREES_BENCH).d

bench-trees: $(TREES_BENCH) ## Trees beside XGBoost, LightGBM, ONNX Runtime, tl2cgen, lleaves (QUICK=1)
	@TERN_ONNXRUNTIME="$${TERN_ONNXRUNTIME:-$$(scripts/get-onnxruntime 2>/dev/null)}" OUT=$(OUT) \
	    "$${TERN_ORACLE_PYTHON:-$$(scripts/test-venv oracle)}" bench/trees.py

bench-fraud: $(OUT)/tern ## One XGBoost model behind Tern, FastAPI and MLServer: wrk and h2load
	@OUT=$(OUT) "$${TERN_ORACLE_PYTHON:-$$(scripts/test-venv oracle)}" bench/fraud.py

# What the oracle tests compared, as a table: models, rows, unequal bits, differences, label flips, SHAP.
oracle-report: $(OUT)/tern ## Predictions and explanations beside the libraries, as a table
	@rm -f build/oracle.md
	@status=0; ORACLE_REPORT=$(CURDIR)/build/oracle.md scripts/run-oracle || status=$$?; \
	  printf '| test | what was compared |\n| --- | --- |\n'; sort build/oracle.md | grep -v test_harness; exit $$status

bench-native: ## All of the tables of doc/native.md: speed, loading, a server of trees, equal numbers
	@$(MAKE) --no-print-directory bench-trees
	@$(MAKE) --no-print-directory bench-fraud
	@$(MAKE) --no-print-directory oracle-report

.PHONY: bench-trees bench-fraud oracle-report bench-native
