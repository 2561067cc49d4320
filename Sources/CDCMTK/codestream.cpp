#include "face.hpp"
#include <cstdlib>
#include <cstring>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>

int cdcmtk_item_codestream(cdcmtk_item *item, uint16_t group, uint16_t element, uint8_t **bytes, size_t *count) {
    return face::guarded(nullptr, 0, [&] {
        DcmElement *found = nullptr;
        if (face::object(item)->findAndGetElement(DcmTagKey(group, element), found).bad()) return 0;
        auto *pixels = dynamic_cast<DcmPixelData *>(found);
        if (pixels == nullptr) return 0;
        E_TransferSyntax syntax = EXS_Unknown;
        const DcmRepresentationParameter *parameter = nullptr;
        DcmPixelSequence *sequence = nullptr;
        pixels->getOriginalRepresentationKey(syntax, parameter);
        if (pixels->getEncapsulatedRepresentation(syntax, parameter, sequence).bad() || sequence == nullptr) return 0;

        std::vector<std::pair<const Uint8 *, size_t>> fragments;
        size_t total = 0;
        for (unsigned long i = 1; i < sequence->card(); ++i) {  // 0 is the offset table
            DcmPixelItem *fragment = nullptr;
            Uint8 *value = nullptr;
            if (sequence->getItem(fragment, i).bad() || fragment->getUint8Array(value).bad()) return 0;
            if (value == nullptr) continue;
            fragments.emplace_back(value, fragment->getLength());
            total += fragment->getLength();
        }
        if (total == 0) return 0;
        *bytes = static_cast<uint8_t *>(malloc(total));
        if (*bytes == nullptr) return 0;
        *count = 0;
        for (const auto &[value, length] : fragments) {
            memcpy(*bytes + *count, value, length);
            *count += length;
        }
        return 1;
    });
}
