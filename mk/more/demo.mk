demo: ## Builds, serves the example models, asks them about data they have not seen (KEEP=1: stays up)
	@MAKEFLAGS= KEEP=$(KEEP) scripts/demo

.PHONY: demo
