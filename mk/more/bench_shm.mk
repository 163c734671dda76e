# Shared memory beside bytes in the message.
bench-shm: $(OUT)/tern ## 1 MiB tensors in shared memory against the same in the message (needs wrk)
	@OUT=$(OUT) bench/shm.sh

.PHONY: bench-shm
