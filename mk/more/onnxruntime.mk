onnxruntime: ## Find or fetch ONNX Runtime, which serves ONNX models
	@scripts/get-onnxruntime

.PHONY: onnxruntime
