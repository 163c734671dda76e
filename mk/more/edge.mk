# What `tern build-edge` compiles: the sources that evaluate a model, packed into the program. They
# are the engine's own; src/edge is what stands around them there. A file in the pack is a line
# "kind path bytes", then its bytes.
EDGE_ENGINE := src/engine/native
# Compiled for every model.
EDGE_CORE := src/edge/edge.c $(addprefix src/forest/,run.c run_row.c run_block.c ranks.c forest.c) \
  $(addprefix $(EDGE_ENGINE)/,program.c convert.c ops/op_forest.c ops/op_link.c ops/op_cast.c) \
  src/simd/trees.c src/simd/half.c src/core/tensor.c src/base/dtype.c src/base/num.c src/base/str.c
# A source of operators is compiled for models that use one of them,
EDGE_OPS := $(filter-out $(EDGE_CORE),$(shell grep -lw TERN_OPERATOR $(EDGE_ENGINE)/*.c $(EDGE_ENGINE)/*/*.c))
# and what several of them share along with it.
EDGE_SHARED := $(addprefix $(EDGE_ENGINE)/ops/,op_shape.c op_cells.c op_keys.c op_classes.c \
  op_scores.c) src/simd/dense.c src/simd/curves.c src/base/hash.c
EDGE_SRC := src/edge/main.c $(EDGE_CORE) $(EDGE_OPS) $(EDGE_SHARED)

$(LIB): $(OUT)/edge_pack.o

$(OUT)/edge_pack.c: mk/more/edge.mk $(EDGE_SRC) $(wildcard src/*/*.h src/engine/native/*.h src/engine/native/*/*.h)
	@mkdir -p $(@D)
	$(call say,PACK,$@)
	$(Q)$(CC) -MM -Isrc -D_GNU_SOURCE -include src/edge/quiet.h $(EDGE_SRC) | \
	  tr -s ' \\' '\n\n' | grep '^src/' | sort -u > $(@:.c=.list)
	$(Q){ echo '#include "cli/edge_pack.h"'; \
	  echo 'const unsigned char tern_edge_pack[] = {'; \
	  while read -r path; do \
	    case " $(EDGE_CORE) " in *" $$path "*) kind=core ;; *) kind=file ;; esac; \
	    case " $(EDGE_OPS) " in *" $$path "*) kind=operator ;; esac; \
	    case " $(EDGE_SHARED) " in *" $$path "*) kind=shared ;; esac; \
	    printf '%s %s %d\n' "$$kind" "$$path" "$$(wc -c < "$$path")"; cat "$$path"; \
	    done < $(@:.c=.list) | gzip -9n | od -An -v -tu1 | sed 's/ *\([0-9][0-9]*\)/\1,/g'; \
	  echo '};'; \
	  echo 'const size_t tern_edge_pack_bytes = sizeof(tern_edge_pack);'; } > $@.new
	@mv $@.new $@

$(OUT)/edge_pack.o: $(OUT)/edge_pack.c src/cli/edge_pack.h
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -c -o $@ $<
