// A file that is written while its bytes arrive, so that little is left to do when the last one is there.
#pragma once
#include "face.hpp"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

namespace face {

/// Writes whole blocks past the page cache, straight from its own memory: nobody reads a received file at once, and filling fresh
/// pages costs more than the disk does. One object serves one file after the other. Once something failed it takes the rest and
/// writes nothing more.
class ArrivingFile {
  public:
    /// Bytes of a block, written as one: a PDU's worth.
    static constexpr size_t blockSize = 131072;
    /// Bytes kept from the start of the file, of which its header is read; those of a CT slice have some 3 KB.
    static constexpr size_t startSize = 65536;

    ArrivingFile() : memory(static_cast<char *>(aligned_alloc(alignment, blockSize)), free), hash(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
        if (!memory || !hash) throw std::bad_alloc();
        start.reserve(startSize);
    }
    ~ArrivingFile() { discard(); }

    /// Begins a new file; without a path, what comes is thrown away.
    void begin(const char *path) {
        discard();
        filled = written = failure = 0;
        start.clear();
        EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr);
        if (path == nullptr) return;
        const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
        descriptor = open(path, flags | O_DIRECT, 0640);
        // Such a file system may have made the file before it refused.
        if (descriptor < 0 && errno == EINVAL) descriptor = (unlink(path), open(path, flags, 0640));
        if (descriptor < 0) failure = errno;
        else name = path;
    }

    void append(const void *bytes, size_t count) {
        if (descriptor < 0) return;
        auto *next = static_cast<const char *>(bytes);
        start.insert(start.end(), next, next + std::min(count, startSize - start.size()));
        while (count > 0) {
            const size_t part = std::min(count, blockSize - filled);
            memcpy(memory.get() + filled, next, part);
            filled += part, next += part, count -= part;
            if (filled == blockSize) put(blockSize);
        }
    }
    /// The same, for what the digest covers.
    void appendDigested(const void *bytes, size_t count) {
        if (descriptor >= 0) EVP_DigestUpdate(hash.get(), bytes, count);
        append(bytes, count);
    }

    /// Writes what is left; 0 or an errno, and then the file is gone. The descriptor is the caller's from here on, to flush it by.
    int finish(cdcmtk_received &received) {
        if (filled >= alignment) put(filled / alignment * alignment);
        // The last bytes fill no whole block of the disk: they go through the page cache.
        if (filled > 0 && failure == 0 && fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_DIRECT) != 0) failure = errno;
        if (filled > 0) put(filled);
        if (failure != 0) return discard(), failure;
        received = {descriptor, written, {}, start.data(), start.size()};
        unsigned char digest[EVP_MAX_MD_SIZE];
        EVP_DigestFinal_ex(hash.get(), digest, nullptr);
        memcpy(received.digest, digest, sizeof received.digest);
        descriptor = -1;
        name.clear();
        return 0;
    }

    /// Removes the half file, if there is one.
    void discard() {
        if (descriptor >= 0) close(descriptor);
        descriptor = -1;
        if (!name.empty()) unlink(name.c_str());
        name.clear();
    }

  private:
    /// What O_DIRECT wants of memory, offset and length; no disk has larger blocks than this.
    static constexpr size_t alignment = 4096;

    std::unique_ptr<char, decltype(&free)> memory;
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash;
    std::vector<uint8_t> start;
    std::string name;
    size_t filled = 0;
    uint64_t written = 0;
    int descriptor = -1, failure = 0;

    /// Writes the first bytes of the block and moves the rest to its front.
    void put(size_t count) {
        for (size_t done = 0; done < count && failure == 0;) {
            const ssize_t result = ::write(descriptor, memory.get() + done, count - done);
            if (result < 0 && errno != EINTR) failure = errno;
            else if (result > 0) done += result;
        }
        written += count;
        filled -= count;
        memmove(memory.get(), memory.get() + count, filled);
    }
};

} // namespace face
