// Assertions of a C library as errors.
#pragma once

namespace cgdcm {

/// Calls work(context); false where an assertion of a shared library ended it.
///
/// Debian's OpenJPEG is built with its assertions, and some spoilt streams break one. It ends the call, before the library does what it
/// would have been wrong to do, and not the process: what the call had allocated is lost, no C++ object may be on its stack.
bool unless_asserted(void (*work)(void *), void *context);

} // namespace cgdcm
