// Data sets without a file around them, in memory: those of messages.
#include "face.hpp"
#include <cstdlib>
#include <cstring>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcostrma.h>

using face::fail;
using face::guarded;

namespace {

/// Keeps what is written in memory.
class MemoryConsumer : public DcmConsumer {
  public:
    std::string bytes;
    OFBool good() const override { return OFTrue; }
    OFCondition status() const override { return EC_Normal; }
    OFBool isFlushed() const override { return OFTrue; }
    offile_off_t avail() const override { return 1 << 30; }
    void flush() override {}
    offile_off_t write(const void *data, offile_off_t count) override {
        bytes.append(static_cast<const char *>(data), count);
        return count;
    }
};

class MemoryOutput : public DcmOutputStream {
  public:
    explicit MemoryOutput(MemoryConsumer &consumer) : DcmOutputStream(&consumer) {}
};

} // namespace

uint8_t *face::copy(const std::string &bytes) {
    auto *memory = static_cast<uint8_t *>(malloc(bytes.empty() ? 1 : bytes.size()));
    if (memory == nullptr) throw std::bad_alloc();
    memcpy(memory, bytes.data(), bytes.size());
    return memory;
}

cdcmtk_file *cdcmtk_file_decode(const uint8_t *bytes, size_t count, const char *transfer_syntax, cdcmtk_error *error) {
    return guarded<cdcmtk_file *>(error, nullptr, [&]() -> cdcmtk_file * {
        const DcmXfer syntax(transfer_syntax);
        if (syntax.getXfer() == EXS_Unknown || syntax.isEncapsulated()) return fail(error, CDCMTK_CANNOT_READ, "transfer syntax not supported"), nullptr;
        auto file = std::make_unique<cdcmtk_file>();
        face::Shallow<DcmInputBufferStream> stream;
        stream.setBuffer(bytes, count);
        stream.setEos();
        DcmDataset *dataset = file->format.getDataset();
        dataset->transferInit();
        OFCondition result = dataset->read(stream, syntax.getXfer(), EGL_noChange, DCM_MaxReadLength);
        // Values are still in the caller's buffer.
        if (result.good()) result = dataset->loadAllDataIntoMemory();
        dataset->transferEnd();
        if (result.bad()) return fail(error, CDCMTK_CANNOT_READ, "%s", result.text()), nullptr;
        return file.release();
    });
}

int cdcmtk_file_encode(cdcmtk_file *file, const char *transfer_syntax, uint8_t **bytes, size_t *count, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        const DcmXfer syntax(transfer_syntax);
        if (syntax.getXfer() == EXS_Unknown || syntax.isEncapsulated()) return fail(error, CDCMTK_CANNOT_WRITE, "transfer syntax not supported"), 0;
        MemoryConsumer memory;
        MemoryOutput output(memory);
        DcmDataset *dataset = file->format.getDataset();
        dataset->transferInit();
        const OFCondition result = dataset->write(output, syntax.getXfer(), EET_ExplicitLength, nullptr, EGL_withoutGL);
        dataset->transferEnd();
        if (result.bad()) return fail(error, CDCMTK_CANNOT_WRITE, "%s", result.text()), 0;
        *count = memory.bytes.size();
        *bytes = face::copy(memory.bytes);
        return 1;
    });
}
