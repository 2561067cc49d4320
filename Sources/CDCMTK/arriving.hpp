// A file that is written while its bytes arrive, so that little is left to do when the last one is there.
#pragma once
#include "face.hpp"
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <openssl/evp.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace face {

/// Writes at most one block at a time, on a thread of its own that begins with the first.
class BlockWriter {
  public:
    ~BlockWriter() {
        {
            const std::lock_guard<std::mutex> lock(mutex);
            isEnding = true;
        }
        changed.notify_all();
        if (thread.joinable()) thread.join();
    }

    /// Begins to write a block, once the one before is written; it must stay as it is until `wait` or the next block.
    void write(int file, const char *bytes, size_t count, uint64_t at) {
        if (!thread.joinable()) thread = std::thread([this] { run(); });
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [&] { return job.count == 0; });
        if (failure != 0) return;
        job = {file, bytes, count, at};
        changed.notify_all();
    }

    /// Waits until all is written; 0 or the errno of the first failure since the last time.
    int wait() {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [&] { return job.count == 0; });
        return std::exchange(failure, 0);
    }

    static int writeAll(int file, const char *bytes, size_t count, uint64_t at) {
        while (count > 0) {
            const ssize_t written = pwrite(file, bytes, count, static_cast<off_t>(at));
            if (written < 0 && errno != EINTR) return errno;
            if (written > 0) bytes += written, count -= written, at += written;
        }
        return 0;
    }

  private:
    std::thread thread;
    std::mutex mutex; // of all that follows
    std::condition_variable changed;
    struct {
        int file;
        const char *bytes;
        size_t count; // 0: nothing to write
        uint64_t at;
    } job = {};
    int failure = 0;
    bool isEnding = false;

    void run() {
        std::unique_lock<std::mutex> lock(mutex);
        for (;;) {
            changed.wait(lock, [&] { return job.count != 0 || isEnding; });
            if (job.count == 0) return;
            lock.unlock();
            const int result = writeAll(job.file, job.bytes, job.count, job.at);
            lock.lock();
            if (failure == 0) failure = result;
            job.count = 0;
            changed.notify_all();
        }
    }
};

/// Writes whole blocks past the page cache, straight from its own memory, each while the next one arrives: nobody reads a received
/// file at once, and filling fresh pages costs more than the disk does. One object serves one file after the other. Once something
/// failed it takes the rest and writes nothing more.
class ArrivingFile {
  public:
    /// Bytes of a block, written as one: a PDU's worth.
    static constexpr size_t blockSize = 131072;
    /// Bytes kept from the start of the file, of which its header is read; those of a CT slice have some 3 KB.
    static constexpr size_t startSize = 65536;

    ArrivingFile() : memory(static_cast<char *>(aligned_alloc(alignment, 2 * blockSize)), free), hash(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
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
        // A file system without O_DIRECT may have made the file before it refused.
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
            memcpy(block() + filled, next, part);
            filled += part, next += part, count -= part;
            if (filled < blockSize) continue;
            writer.write(descriptor, block(), blockSize, written);
            written += blockSize, filled = 0, second = !second;
        }
    }
    /// The same, for what the digest covers.
    void appendDigested(const void *bytes, size_t count) {
        append(bytes, count);
        if (descriptor >= 0) EVP_DigestUpdate(hash.get(), bytes, count);
    }

    /// Writes what is left; 0 or an errno, and then the file is gone. The descriptor is the caller's from here on, to flush it by.
    int finish(cdcmtk_received &received) {
        if (descriptor >= 0) failure = finishWriting();
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
        writer.wait();
        if (descriptor >= 0) close(descriptor);
        descriptor = -1;
        if (!name.empty()) unlink(name.c_str());
        name.clear();
    }

  private:
    /// What O_DIRECT wants of memory, offset and length; no disk has larger blocks than this.
    static constexpr size_t alignment = 4096;

    std::unique_ptr<char, decltype(&free)> memory; // two blocks
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash;
    std::vector<uint8_t> start;
    std::string name;
    BlockWriter writer;
    bool second = false; // which block is being filled
    size_t filled = 0;
    uint64_t written = 0; // or on its way
    int descriptor = -1, failure = 0;

    char *block() { return memory.get() + (second ? blockSize : 0); }

    int finishWriting() {
        const size_t whole = filled / alignment * alignment;
        int result = BlockWriter::writeAll(descriptor, block(), whole, written);
        if (const int earlier = writer.wait()) result = earlier;
        // The last bytes fill no whole block of the disk: they go through the page cache.
        if (result == 0 && fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_DIRECT) != 0) result = errno;
        if (result == 0) result = BlockWriter::writeAll(descriptor, block() + whole, filled - whole, written + whole);
        written += filled;
        return result;
    }
};

} // namespace face
