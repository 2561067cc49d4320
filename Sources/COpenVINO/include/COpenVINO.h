#pragma once
#include <stddef.h>
#include <stdint.h>

/// OpenVINO's C interface, loaded at run time: a missing library is an error value, not a program that cannot start.
///
/// Functions that can fail return 0 for success, else another number and a sentence in `message` (cut at `size`, always
/// ended by a zero). Nothing here throws or aborts. A runtime and a model serve any number of threads at once, a request
/// one at a time.

/// The loaded library with its core; lives as long as the process.
typedef struct cov_runtime cov_runtime;
/// A network compiled for the processor.
typedef struct cov_model cov_model;
/// The working memory of one inference at a time.
typedef struct cov_request cov_request;

/// The largest number of axes that `cov_request_output` reports.
#define COV_MAXIMUM_RANK 8

/// Loads `library` (a path) and creates its core. OpenVINO cannot be unloaded: call once a path.
int cov_runtime_open(const char *library, cov_runtime **runtime, char *message, size_t size);

/// Reads an ONNX file and compiles it for the processor, in 32-bit floats, with `threads` threads in `streams` lanes.
int cov_model_compile(const cov_runtime *runtime, const char *path, int threads, int streams, cov_model **model,
                      char *message, size_t size);
void cov_model_free(cov_model *model);

int cov_request_create(const cov_model *model, cov_request **request, char *message, size_t size);
void cov_request_free(cov_request *request);

/// Copies the values of the named input.
int cov_request_set_input(cov_request *request, const char *name, const float *values, const int64_t *shape, size_t rank,
                          char *message, size_t size);

/// Runs the network; blocks until it is done.
int cov_request_infer(cov_request *request, char *message, size_t size);

/// The named output: its values stay the request's own and last until its next call.
int cov_request_output(const cov_request *request, const char *name, const float **values, int64_t *shape, size_t *rank,
                       char *message, size_t size);
