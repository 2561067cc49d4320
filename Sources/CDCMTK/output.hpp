// A file written through write(2): every failure is remembered and reported, unlike in DCMTK's own stream.
#pragma once
#include "face.hpp"
#include <cerrno>
#include <dcmtk/dcmdata/dcostrma.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace face {

/// Takes everything and, once something failed or without a path, writes nothing more.
class FileConsumer : public DcmConsumer {
  public:
    /// Opens a file; O_EXCL in the flags refuses one that is there.
    FileConsumer(const char *path, int flags) : descriptor(path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0640) : -1) {
        struct stat about = {};
        if (path != nullptr && descriptor < 0) failure = errno;
        else if (fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode)) name = path; // never remove a device
        buffer.reserve(capacity);
    }
    ~FileConsumer() override { discard(); }

    /// Brings the file to its end, to stable storage if asked; 0 or an errno, and then the file is removed.
    int finish(bool durable) {
        drain();
        if (failure == 0 && durable && fsync(descriptor) != 0) failure = errno;
        if (descriptor >= 0 && close(descriptor) != 0 && failure == 0) failure = errno;
        descriptor = -1;
        if (failure == 0) name.clear();
        discard();
        return failure;
    }

    OFBool good() const override { return OFTrue; }
    OFCondition status() const override { return EC_Normal; }
    OFBool isFlushed() const override { return OFTrue; }
    offile_off_t avail() const override { return 1 << 30; }
    void flush() override {}
    offile_off_t write(const void *bytes, offile_off_t count) override {
        if (buffer.size() + static_cast<size_t>(count) > capacity) drain();
        if (static_cast<size_t>(count) >= capacity) put(static_cast<const char *>(bytes), count);
        else if (descriptor >= 0) buffer.insert(buffer.end(), static_cast<const char *>(bytes), static_cast<const char *>(bytes) + count);
        return count;
    }

  private:
    static constexpr size_t capacity = 65536;
    int descriptor, failure = 0;
    std::string name;
    std::vector<char> buffer;

    void drain() {
        put(buffer.data(), buffer.size());
        buffer.clear();
    }
    void put(const char *bytes, size_t count) {
        while (count > 0 && failure == 0 && descriptor >= 0) {
            const ssize_t written = ::write(descriptor, bytes, count);
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) failure = errno;
            else bytes += written, count -= written;
        }
    }
    void discard() {
        if (descriptor >= 0) close(descriptor);
        descriptor = -1;
        if (!name.empty()) unlink(name.c_str());
        name.clear();
    }
};

/// The stream that DCMTK wants around a consumer.
class FileOutput : public DcmOutputStream {
  public:
    explicit FileOutput(FileConsumer &consumer) : DcmOutputStream(&consumer) {}
};

/// Makes meta information of medlsam-node's own for a data set.
OFCondition identify(DcmMetaInfo &meta, const char *implementation_class, const char *implementation_version);

} // namespace face
