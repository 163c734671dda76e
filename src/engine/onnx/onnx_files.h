/* The files beside a model that its tensors may name ("external data"). */
#ifndef TERN_ENGINE_ONNX_ONNX_FILES_H
#define TERN_ENGINE_ONNX_ONNX_FILES_H

#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "engine/onnx/onnx_scan.h"

struct tern_onnx_folder {
    int fd;               /* owned; -1: the model came without a folder */
    struct tern_str file; /* borrowed: the file that was checked last, and */
    uint64_t file_size;   /* its size: thousands of tensors share one file */
};

/* Opens the folder that holds the file `path`. */
enum tern_code tern_onnx_files_open(const char *path, struct tern_onnx_folder *ret_folder,
                                    struct tern_err *err);
void tern_onnx_files_close(struct tern_onnx_folder *folder);
/* A tern_onnx_external_fn, arg: struct tern_onnx_folder. The file must be a regular one inside the
 * folder, reached without a symbolic link, with no second hard link, and hold what the tensor
 * claims. Whoever can write into the folder can still swap the file afterwards: ONNX Runtime opens
 * it again by its name. */
enum tern_code tern_onnx_files_check(void *arg, const struct tern_onnx_external *tensor,
                                     struct tern_err *err);

#endif
