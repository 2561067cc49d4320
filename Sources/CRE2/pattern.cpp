#include "CRE2.h"

#include <re2/re2.h>

#include <cstdio>
#include <exception>

struct cre2_pattern {
    RE2 expression;
    cre2_pattern(re2::StringPiece text, const RE2::Options &options) : expression(text, options) {}
};

namespace {
/// Program and cached automaton of one pattern, in bytes: thousands of times what a sensible one takes.
constexpr int64_t maximum_memory = 1 << 20;

RE2::Options options() {
    RE2::Options options;
    options.set_case_sensitive(false);
    options.set_log_errors(false);
    options.set_max_mem(maximum_memory);
    return options;
}
}  // namespace

cre2_pattern *cre2_compile(const char *pattern, size_t length, char *reason, size_t reason_size) {
    try {
        auto *compiled = new cre2_pattern({pattern, length}, options());
        if (compiled->expression.ok()) return compiled;
        std::snprintf(reason, reason_size, "%s", compiled->expression.error().c_str());
        delete compiled;
    } catch (const std::exception &error) {
        std::snprintf(reason, reason_size, "%s", error.what());
    } catch (...) {
        std::snprintf(reason, reason_size, "unknown failure");
    }
    return nullptr;
}

int32_t cre2_matches(const cre2_pattern *pattern, const char *text, size_t length) {
    try {
        return RE2::PartialMatch({text, length}, pattern->expression) ? 1 : 0;
    } catch (...) {
        return 0;
    }
}

void cre2_free(cre2_pattern *pattern) { delete pattern; }
