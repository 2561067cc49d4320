// A file that lives in memory only and has a path, since the face reads and writes paths.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

class MemoryFile {
  public:
    MemoryFile() : descriptor(memfd_create("fuzz", MFD_CLOEXEC)), path("/proc/self/fd/" + std::to_string(descriptor)) {
        if (descriptor < 0) abort();
    }
    ~MemoryFile() { close(descriptor); }
    MemoryFile(const MemoryFile &) = delete;

    void fill(const uint8_t *bytes, size_t count) {
        if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, bytes, count, 0) != static_cast<ssize_t>(count)) abort();
    }

    const int descriptor;
    const std::string path;
};
