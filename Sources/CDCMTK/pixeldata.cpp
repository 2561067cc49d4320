#include "face.hpp"
#include <cstdlib>
#include <cstring>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>

// Parts of values are read from the file into the caller's memory: of an image of thousands of frames, only one is held.

namespace {

DcmElement *find(cdcmtk_item *item, uint16_t group, uint16_t element) {
    DcmElement *found = nullptr;
    return face::object(item)->findAndGetElement(DcmTagKey(group, element), found).good() ? found : nullptr;
}

/// The fragments of an element as it was read; null where it has none.
DcmPixelSequence *fragments(cdcmtk_item *item, uint16_t group, uint16_t element) {
    auto *pixels = dynamic_cast<DcmPixelData *>(find(item, group, element));
    if (pixels == nullptr) return nullptr;
    E_TransferSyntax syntax = EXS_Unknown;
    const DcmRepresentationParameter *parameter = nullptr;
    DcmPixelSequence *sequence = nullptr;
    pixels->getOriginalRepresentationKey(syntax, parameter);
    return pixels->getEncapsulatedRepresentation(syntax, parameter, sequence).good() ? sequence : nullptr;
}

} // namespace

int cdcmtk_item_length(cdcmtk_item *item, uint16_t group, uint16_t element, size_t *length) {
    return face::guarded(nullptr, 0, [&] {
        DcmElement *found = find(item, group, element);
        if (found == nullptr || fragments(item, group, element) != nullptr) return 0;
        *length = found->getLengthField();
        return *length == DCM_UndefinedLength ? 0 : 1;
    });
}

int cdcmtk_item_part(cdcmtk_item *item, uint16_t group, uint16_t element, size_t offset, uint8_t *bytes, size_t count) {
    return face::guarded(nullptr, 0, [&] {
        DcmElement *found = find(item, group, element);
        if (found == nullptr || offset > UINT32_MAX || count > UINT32_MAX) return 0;
        return found->getPartialValue(bytes, static_cast<Uint32>(offset), static_cast<Uint32>(count), nullptr, EBO_LittleEndian).good() ? 1 : 0;
    });
}

int cdcmtk_item_fragments(cdcmtk_item *item, uint16_t group, uint16_t element, uint32_t **lengths, size_t *count) {
    return face::guarded(nullptr, 0, [&] {
        DcmPixelSequence *sequence = fragments(item, group, element);
        if (sequence == nullptr || sequence->card() == 0) return 0;
        *lengths = static_cast<uint32_t *>(malloc(sequence->card() * sizeof(uint32_t)));
        if (*lengths == nullptr) return 0;
        *count = 0;
        for (DcmObject *next = sequence->nextInContainer(nullptr); next != nullptr; next = sequence->nextInContainer(next))
            (*lengths)[(*count)++] = static_cast<DcmPixelItem *>(next)->getLengthField();
        return 1;
    });
}

int cdcmtk_item_fragment(cdcmtk_item *item, uint16_t group, uint16_t element, size_t index, uint8_t *bytes, size_t count) {
    return face::guarded(nullptr, 0, [&] {
        DcmPixelSequence *sequence = fragments(item, group, element);
        DcmPixelItem *fragment = nullptr;
        if (sequence == nullptr || sequence->getItem(fragment, index).bad() || count > UINT32_MAX) return 0;
        return fragment->getPartialValue(bytes, 0, static_cast<Uint32>(count)).good() ? 1 : 0;
    });
}
