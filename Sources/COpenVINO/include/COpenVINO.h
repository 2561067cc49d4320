#pragma once
/// Loads libopenvino_c at run time; 0 on success.
int copenvino_load(const char *path);
