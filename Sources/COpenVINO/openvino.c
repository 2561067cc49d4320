#include "COpenVINO.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// OpenVINO's types, as far as they are used here (openvino/c/ov_common.h, ov_shape.h, ov_property.h of 2026.4).
typedef int ov_status;
typedef struct { int64_t rank; int64_t *dims; } ov_shape;
typedef struct { const char *key; const void *value; } ov_property;
enum { OV_OK = 0, OV_F32 = 4 };

// name, result, parameters. The variadic ways to compile are left out: they cannot be called through a table safely.
#define OV_FUNCTIONS(F) \
    F(ov_core_create, ov_status, (void **core)) \
    F(ov_core_read_model, ov_status, (const void *core, const char *path, const char *weights, void **model)) \
    F(ov_core_compile_model_props, ov_status, \
      (const void *core, const void *model, const char *device, size_t count, const ov_property *properties, void **compiled)) \
    F(ov_model_free, void, (void *model)) \
    F(ov_compiled_model_create_infer_request, ov_status, (const void *compiled, void **request)) \
    F(ov_compiled_model_free, void, (void *compiled)) \
    F(ov_infer_request_set_tensor, ov_status, (void *request, const char *name, const void *tensor)) \
    F(ov_infer_request_get_tensor, ov_status, (const void *request, const char *name, void **tensor)) \
    F(ov_infer_request_infer, ov_status, (void *request)) \
    F(ov_infer_request_free, void, (void *request)) \
    F(ov_tensor_create, ov_status, (int type, ov_shape shape, void **tensor)) \
    F(ov_tensor_data, ov_status, (const void *tensor, void **data)) \
    F(ov_tensor_get_shape, ov_status, (const void *tensor, ov_shape *shape)) \
    F(ov_tensor_get_element_type, ov_status, (const void *tensor, int *type)) \
    F(ov_tensor_free, void, (void *tensor)) \
    F(ov_shape_free, ov_status, (ov_shape *shape)) \
    F(ov_get_error_info, const char *, (ov_status status)) \
    F(ov_get_last_err_msg, const char *, (void)) \
    F(ov_free, void, (const char *text))

struct cov_runtime {
    void *core;
#define MEMBER(name, result, parameters) result (*name) parameters;
    OV_FUNCTIONS(MEMBER)
#undef MEMBER
};

struct cov_model {
    const cov_runtime *runtime;
    void *compiled;
};

struct cov_request {
    const cov_runtime *runtime;
    void *request;
};

/// Puts what OpenVINO says about the failure into `message`; returns the status.
static int failed(const cov_runtime *runtime, ov_status status, const char *doing, char *message, size_t size) {
    const char *detail = runtime->ov_get_last_err_msg();
    snprintf(message, size, "%s: %s%s%s", doing, runtime->ov_get_error_info(status), detail && *detail ? ": " : "",
             detail ? detail : "");
    if (detail) runtime->ov_free(detail);
    return status;
}

static int out_of_memory(char *message, size_t size) {
    snprintf(message, size, "out of memory");
    return -1;
}

int cov_runtime_open(const char *library, cov_runtime **result, char *message, size_t size) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        snprintf(message, size, "%s", dlerror());
        return -1;
    }
    cov_runtime *runtime = calloc(1, sizeof *runtime);
    if (!runtime) return out_of_memory(message, size);
#define LOOK_UP(name, result, parameters) \
    if (!(*(void **)&runtime->name = dlsym(handle, #name))) { \
        snprintf(message, size, "%s has no function %s", library, #name); \
        free(runtime); \
        return -1; \
    }
    OV_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    ov_status status = runtime->ov_core_create(&runtime->core);
    if (status != OV_OK) {
        failed(runtime, status, "creating the core", message, size);
        free(runtime);
        return status;
    }
    *result = runtime;
    return 0;
}

int cov_model_compile(const cov_runtime *runtime, const char *path, int threads, int streams, cov_model **result,
                      char *message, size_t size) {
    char thread_count[16], stream_count[16];
    snprintf(thread_count, sizeof thread_count, "%d", threads);
    snprintf(stream_count, sizeof stream_count, "%d", streams);
    const ov_property properties[] = {
        {"INFERENCE_NUM_THREADS", thread_count},
        {"NUM_STREAMS", stream_count},
        // Processors with bf16 would otherwise use it: 1.7 times faster, but masks that differ from machine to machine.
        {"INFERENCE_PRECISION_HINT", "f32"},
        // Several models share the cores, and the node is rarely alone on its machine.
        {"ENABLE_CPU_PINNING", "NO"},
    };
    cov_model *model = calloc(1, sizeof *model);
    if (!model) return out_of_memory(message, size);
    void *network = NULL;
    ov_status status = runtime->ov_core_read_model(runtime->core, path, NULL, &network);
    if (status != OV_OK) {
        failed(runtime, status, "reading the graph", message, size);
    } else {
        status = runtime->ov_core_compile_model_props(runtime->core, network, "CPU", sizeof properties / sizeof *properties,
                                                      properties, &model->compiled);
        if (status != OV_OK) failed(runtime, status, "compiling the graph", message, size);
        runtime->ov_model_free(network);
    }
    if (status != OV_OK) {
        free(model);
        return status;
    }
    model->runtime = runtime;
    *result = model;
    return 0;
}

void cov_model_free(cov_model *model) {
    model->runtime->ov_compiled_model_free(model->compiled);
    free(model);
}

int cov_request_create(const cov_model *model, cov_request **result, char *message, size_t size) {
    cov_request *request = calloc(1, sizeof *request);
    if (!request) return out_of_memory(message, size);
    request->runtime = model->runtime;
    ov_status status = model->runtime->ov_compiled_model_create_infer_request(model->compiled, &request->request);
    if (status != OV_OK) {
        free(request);
        return failed(model->runtime, status, "creating an inference", message, size);
    }
    *result = request;
    return 0;
}

void cov_request_free(cov_request *request) {
    request->runtime->ov_infer_request_free(request->request);
    free(request);
}

int cov_request_set_input(cov_request *request, const char *name, const float *values, const int64_t *shape, size_t rank,
                          char *message, size_t size) {
    const cov_runtime *runtime = request->runtime;
    void *tensor = NULL, *data = NULL;
    size_t count = 1;
    for (size_t axis = 0; axis < rank; axis++) count *= (size_t)shape[axis];
    ov_status status = runtime->ov_tensor_create(OV_F32, (ov_shape){(int64_t)rank, (int64_t *)shape}, &tensor);
    if (status != OV_OK) return failed(runtime, status, "creating an input", message, size);
    status = runtime->ov_tensor_data(tensor, &data);
    if (status == OV_OK) {
        memcpy(data, values, count * sizeof *values);
        status = runtime->ov_infer_request_set_tensor(request->request, name, tensor);
    }
    if (status != OV_OK) failed(runtime, status, "setting an input", message, size);
    runtime->ov_tensor_free(tensor);
    return status;
}

int cov_request_infer(cov_request *request, char *message, size_t size) {
    ov_status status = request->runtime->ov_infer_request_infer(request->request);
    return status == OV_OK ? 0 : failed(request->runtime, status, "running the network", message, size);
}

int cov_request_output(const cov_request *request, const char *name, const float **values, int64_t *shape, size_t *rank,
                       char *message, size_t size) {
    const cov_runtime *runtime = request->runtime;
    void *tensor = NULL, *data = NULL;
    int type = OV_F32;
    ov_shape found = {0, NULL};
    ov_status status = runtime->ov_infer_request_get_tensor(request->request, name, &tensor);
    if (status != OV_OK) return failed(runtime, status, "getting an output", message, size);
    if ((status = runtime->ov_tensor_get_element_type(tensor, &type)) == OV_OK
        && (status = runtime->ov_tensor_get_shape(tensor, &found)) == OV_OK)
        status = runtime->ov_tensor_data(tensor, &data);
    if (status != OV_OK) {
        failed(runtime, status, "reading an output", message, size);
    } else if (type != OV_F32 || found.rank > COV_MAXIMUM_RANK) {
        snprintf(message, size, "reading an output: %s has an element type or a rank that is not supported", name);
        status = -1;
    } else {
        for (int64_t axis = 0; axis < found.rank; axis++) shape[axis] = found.dims[axis];
        *rank = (size_t)found.rank;
        *values = data;
    }
    if (found.dims) runtime->ov_shape_free(&found);
    runtime->ov_tensor_free(tensor);
    return status;
}
