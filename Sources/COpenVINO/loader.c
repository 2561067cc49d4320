#include "COpenVINO.h"
#include <dlfcn.h>
int copenvino_load(const char *path) { return dlopen(path, RTLD_NOW) ? 0 : -1; }
