/* Any bytes as an ONNX graph that runs natively: it is refused with a reason, or it runs a few
 * rows, which gives tensors whose bytes are there, or an error. */
#include <stdint.h>
#include <stdlib.h>
#include "engine/native/onnx/onnx_graph.h"
#include "harness/program_fuzz.h"
#include "simd/simd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_str bytes = {(const char *)data, size};
    struct native_rig run;

    tern_simd_init();
    if (native_load(&run, &tern_onnx_graph_format, bytes) == TERN_OK)
        program_fuzz_run(&run);
    else if (run.err.text[0] == '\0')
        abort();
    native_free(&run);
    return 0;
}
