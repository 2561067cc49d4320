// What the codecs' faces share: exceptions stopped at the border.
#pragma once
#include "CGDCM.h"
#include <cstdio>
#include <exception>

namespace cgdcm {

/// Runs a decoder, which throws when it fails.
template <class Body> int guarded(char *reason, size_t reason_size, Body body) noexcept {
    try {
        body();
        return 1;
    } catch (const std::exception &error) {
        std::snprintf(reason, reason_size, "%s", error.what());
    } catch (...) {
        std::snprintf(reason, reason_size, "its codec failed");
    }
    return 0;
}

} // namespace cgdcm
