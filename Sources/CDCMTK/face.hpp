// What the files of the face share: errors filled and exceptions stopped.
#pragma once
#include "CDCMTK.h"
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <memory>
#include <stdexcept>
#include <vector>

/// Owns a file format; sequences replaced or removed stay alive, since items of them may still be held.
struct cdcmtk_file {
    DcmFileFormat format;
    std::vector<std::unique_ptr<DcmElement>> removed;
};

namespace face {

/// Silences the toolkit's own logger, once, before anything else of it runs: its messages quote values.
void start();

void fail(cdcmtk_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/// "PatientName (0010,0010)".
std::string name(const DcmTagKey &tag);

/// Runs the body; an exception becomes an error and the given result.
template <class Result, class Body>
Result guarded(cdcmtk_error *error, Result otherwise, Body body) noexcept {
    try {
        start();
        return body();
    } catch (const std::exception &exception) {
        fail(error, CDCMTK_INTERNAL, "%s", exception.what());
    } catch (...) {
        fail(error, CDCMTK_INTERNAL, "unknown exception");
    }
    return otherwise;
}

/// Notices by the stack when a reader has dived too deep: DCMTK recurses into nested sequences without a limit, and a data set of
/// nothing but those would overrun it.
class StackDepth {
  public:
    void check() const {
        if (top - here() > budget) throw std::length_error("sequences are nested too deep");
    }

  private:
    /// Some hundred levels, where real objects have under twenty; no thread has less stack than a multiple of this.
    static constexpr intptr_t budget = 128 * 1024;
    static intptr_t here() { return reinterpret_cast<intptr_t>(__builtin_frame_address(0)); }
    const intptr_t top = here();
};

/// A stream of DCMTK's that ends by an exception when its reader has dived too deep.
template <class Stream> class Shallow : public Stream {
  public:
    template <class... Arguments> explicit Shallow(Arguments... arguments) : Stream(arguments...) {}
    offile_off_t read(void *buffer, offile_off_t count) override {
        depth.check();
        return Stream::read(buffer, count);
    }

  private:
    const StackDepth depth;
};

/// A copy that cdcmtk_free takes.
uint8_t *copy(const std::string &bytes);

inline DcmItem *object(cdcmtk_item *item) { return reinterpret_cast<DcmItem *>(item); }
inline cdcmtk_item *handle(DcmItem *item) { return reinterpret_cast<cdcmtk_item *>(item); }

} // namespace face
