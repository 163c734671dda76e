demo: ## Builds, serves the example models, asks them about data they have not seen (KEEP=1: stays up)
	@MAKEFLAGS= KEEP=$(KEEP) scripts/demo

onnxruntime: ## Finds ONNX Runtime, which serves ONNX models, or fetches it; prints where it is
	@scripts/get-onnxruntime

.PHONY: demo onnxruntime
