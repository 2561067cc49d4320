// A file that is written while its bytes arrive, so that little is left to do when the last one is there.
#pragma once
#include "aside.hpp"
#include "face.hpp"
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>
#include <utility>

namespace face {

/// Writes whole blocks past the page cache, straight from its own memory: nobody reads a received file at once, and filling fresh pages
/// costs more than the disk does. What arrives meanwhile the socket holds, so that no other thread has to be woken for a block; only what
/// follows the last one is another's. One object serves one file after the other. Once something failed it takes the rest and writes
/// nothing more.
class ArrivingFile {
  public:
    /// Bytes of a block, written as one.
    static constexpr size_t blockSize = 262144;
    /// Bytes kept from the start of the file, of which its header is read; those of a CT slice have some 3 KB.
    static constexpr size_t startSize = 65536;

    ArrivingFile() : memory(static_cast<char *>(aligned_alloc(alignment, blockSize)), free), hash(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
        if (!memory || !hash) throw std::bad_alloc();
        start.reserve(startSize);
        ++inUse;
    }
    ~ArrivingFile() {
        discard();
        --inUse;
    }

    /// Begins a file, which is there and empty; without a path, what comes is thrown away.
    void begin(const char *path) {
        discard();
        filled = written = 0;
        failure = 0;
        start.clear();
        EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr);
        if (path == nullptr) return;
        name = path;
        descriptor = open(path, O_WRONLY | O_CLOEXEC | O_DIRECT);
        if (descriptor < 0 && errno == EINVAL) descriptor = open(path, O_WRONLY | O_CLOEXEC); // a file system without O_DIRECT
        if (descriptor < 0) failure = errno;
    }

    void append(const void *bytes, size_t count) {
        if (descriptor < 0) return;
        auto *next = static_cast<const char *>(bytes);
        start.insert(start.end(), next, next + std::min(count, startSize - start.size()));
        while (count > 0) {
            const size_t part = std::min(count, blockSize - filled);
            memcpy(memory.get() + filled, next, part);
            filled += part, next += part, count -= part;
            if (filled == blockSize) writeBlock();
        }
    }
    /// The same, for what the digest covers.
    void appendDigested(const void *bytes, size_t count) {
        append(bytes, count);
        if (descriptor >= 0) EVP_DigestUpdate(hash.get(), bytes, count);
    }

    /// The first bytes of the file so far; as many as are kept once `append` had more.
    const std::vector<uint8_t> &beginning() const { return start; }

    /// Begins to write what is left, and to flush; 0, or the errno of what failed before, and then the file is gone.
    int finish(cdcmtk_received &received) {
        if (failure != 0) return discard(), failure.load();
        writeRest();
        name.clear();
        received = {written, {}, start.data(), start.size()};
        unsigned char digest[EVP_MAX_MD_SIZE];
        EVP_DigestFinal_ex(hash.get(), digest, nullptr);
        memcpy(received.digest, digest, sizeof received.digest);
        return 0;
    }

    /// Has the entries of a folder flushed, too, after the file.
    void flushFolder(std::string path) {
        aside.run([this, path = std::move(path)] {
            const int folder = open(path.c_str(), O_RDONLY | O_CLOEXEC);
            if (folder < 0 || fsync(folder) != 0) failure = errno;
            if (folder >= 0) close(folder);
        });
    }
    /// Waits until all is written and flushed; 0 or the errno of a failure.
    int awaitFlush() { return aside.waitForAll(), failure.load(); }

    /// Removes the half file, if there is one.
    void discard() {
        aside.waitForAll();
        if (descriptor >= 0) close(descriptor);
        descriptor = -1;
        if (!name.empty()) unlink(name.c_str());
        name.clear();
    }

  private:
    /// What O_DIRECT wants of memory, offset and length; no disk has larger blocks than this.
    static constexpr size_t alignment = 4096;

    inline static std::atomic<unsigned> inUse = 0; // objects, one an association that receives

    std::unique_ptr<char, decltype(&free)> memory; // a block
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash;
    std::vector<uint8_t> start;
    std::string name;
    size_t filled = 0;
    uint64_t written = 0; // or, the last bytes, on their way
    int descriptor = -1;
    std::atomic<int> failure = 0;
    Aside aside; // last, so that it ends before what its jobs use

    void write(int file, const char *bytes, size_t count, uint64_t at) {
        while (count > 0 && failure == 0) {
            const ssize_t done = pwrite(file, bytes, count, static_cast<off_t>(at));
            if (done < 0 && errno != EINTR) failure = errno;
            if (done > 0) bytes += done, count -= done, at += done;
        }
    }

    void writeBlock() {
        write(descriptor, memory.get(), blockSize, written);
        written += blockSize, filled = 0;
    }

    /// Begins to write what fills no whole block of ours, and to flush and close the file.
    void writeRest() {
        const size_t whole = filled / alignment * alignment, tail = filled - whole;
        const auto rest = [this, file = std::exchange(descriptor, -1), bytes = memory.get(), whole, tail, at = written] {
            write(file, bytes, whole, at);
            // The last bytes fill no whole block of the disk: they go through the page cache.
            if (failure == 0 && tail > 0 && fcntl(file, F_SETFL, fcntl(file, F_GETFL) & ~O_DIRECT) != 0) failure = errno;
            write(file, bytes + whole, tail, at + whole);
            if (failure == 0 && fsync(file) != 0) failure = errno;
            close(file);
        };
        // With more associations than processors others have work while this one waits, and a change of threads would win nothing.
        if (inUse > std::thread::hardware_concurrency()) rest();
        else aside.run(rest);
        written += filled;
    }
};

} // namespace face
