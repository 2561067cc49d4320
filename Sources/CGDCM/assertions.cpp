#include "assertions.hpp"
#include <csetjmp>
#include <cstdlib>
#include <dlfcn.h>

namespace {

/// Where this thread goes on when an assertion fails; null where it must not.
thread_local std::jmp_buf *refuge = nullptr;

} // namespace

bool cgdcm::unless_asserted(void (*work)(void *), void *context) {
    std::jmp_buf here;
    if (setjmp(here) != 0) return refuge = nullptr, false;
    refuge = &here;
    work(context);
    refuge = nullptr;
    return true;
}

/// Stands before glibc's function of this name, for the program and every library in it: that is where `assert` ends.
extern "C" [[noreturn]] void __assert_fail(const char *assertion, const char *file, unsigned line, const char *function) noexcept {
    if (refuge) std::longjmp(*refuge, 1);
    using Original = void (*)(const char *, const char *, unsigned, const char *);
    if (const auto original = reinterpret_cast<Original>(dlsym(RTLD_NEXT, "__assert_fail"))) original(assertion, file, line, function);
    std::abort();
}
