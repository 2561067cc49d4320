#pragma once
#ifdef __cplusplus
extern "C" {
#endif
/// Version of the toolkit this face was built with.
const char *cgdcm_version(void);
#ifdef __cplusplus
}
#endif
