/* The dialect of KServe's InferenceGraph router: a document in, a document out. By name below
 * /graphs, and at / as the router itself has it. */
#ifndef TERN_PROTO_KSERVE_GRAPH_H
#define TERN_PROTO_KSERVE_GRAPH_H

#include "core/proto.h"

extern const struct tern_proto tern_kserve_graph;

/* The document that came of a graph, as it is: for every dialect that has graphs. */
enum tern_code tern_graph_encode(struct tern_call *call, struct tern_err *err);

#endif
