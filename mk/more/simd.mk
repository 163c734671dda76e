# gcc gathers the reader's scalar state into vectors only to take it apart again in each round.
CFLAGS_numbers_read_x86 := -fno-tree-slp-vectorize
