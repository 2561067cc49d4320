#include "face.hpp"
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dcmtk/dcmdata/dcuid.h>
#include <dcmtk/oflog/oflog.h>
#include <malloc.h>

namespace face {

void start() {
    static const bool started = (OFLog::configure(OFLogger::OFF_LOG_LEVEL), true);
    (void)started;
}

void fail(cdcmtk_error *error, int code, const char *format, ...) {
    if (error == nullptr) return;
    error->code = code;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
}

std::string name(const DcmTagKey &tag) {
    return std::string(DcmTag(tag).getTagName()) + " " + tag.toString().c_str();
}

} // namespace face

const char *cdcmtk_version(void) { return OFFIS_DCMTK_VERSION_STRING; }

int cdcmtk_dictionary_loaded(void) {
    return face::guarded(nullptr, 0, [] { return dcmDataDict.isDictionaryLoaded() ? 1 : 0; });
}

void cdcmtk_share_heaps(void) { mallopt(M_ARENA_MAX, 2); }

int cdcmtk_tag_vr(uint16_t group, uint16_t element, char vr[3]) {
    return face::guarded(nullptr, 0, [&] {
        const DcmVR known = DcmTag(group, element).getVR();
        if (!known.isStandard() || known.getEVR() == EVR_UN) return 0;
        memcpy(vr, known.getVRName(), 2);
        vr[2] = 0;
        return 1;
    });
}

void cdcmtk_tag_name(uint16_t group, uint16_t element, char *name, size_t size) {
    face::guarded(nullptr, 0, [&] { return snprintf(name, size, "%s", DcmTag(group, element).getTagName()); });
}

void cdcmtk_free(void *memory) { free(memory); }
