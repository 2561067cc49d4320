// What the files of the face share: errors filled and exceptions stopped.
#pragma once
#include "CDCMTK.h"
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <memory>
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

inline DcmItem *object(cdcmtk_item *item) { return reinterpret_cast<DcmItem *>(item); }
inline cdcmtk_item *handle(DcmItem *item) { return reinterpret_cast<cdcmtk_item *>(item); }

} // namespace face
