/// The C face of RE2: regular expressions that are matched in time linear in the text, whatever the pattern, with bounded memory.
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
/// A compiled pattern; any number of threads may match with it.
typedef struct cre2_pattern cre2_pattern;

/// Compiles a pattern (UTF-8, letters of either case). On failure returns NULL and writes a zero-ended reason.
cre2_pattern *cre2_compile(const char *pattern, size_t length, char *reason, size_t reason_size);
/// Whether the pattern matches anywhere in a text: 1 or 0.
int32_t cre2_matches(const cre2_pattern *pattern, const char *text, size_t length);
void cre2_free(cre2_pattern *pattern);
#ifdef __cplusplus
}
#endif
