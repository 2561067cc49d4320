#include "face.hpp"
#include <cstdlib>
#include <cstring>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcistrmf.h>
#include <dcmtk/dcmdata/dcspchrs.h>

using face::guarded;
using face::object;

namespace {

DcmElement *find(cdcmtk_item *item, uint16_t group, uint16_t element) {
    DcmElement *found = nullptr;
    return object(item)->findAndGetElement(DcmTagKey(group, element), found).good() ? found : nullptr;
}

template <class T> T *allocate(size_t count) {
    auto *memory = static_cast<T *>(malloc((count ? count : 1) * sizeof(T)));
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

bool isASCII(const OFString &text) {
    for (const char c : text)
        if (c & 0x80) return false;
    return true;
}

/// UTF-8 by the data set's SpecificCharacterSet; Latin-1 where that fails, since something must be shown.
OFString utf8(const OFString &text, cdcmtk_file *file) {
    OFString charset, converted;
    file->format.getDataset()->findAndGetOFStringArray(DCM_SpecificCharacterSet, charset);
    DcmSpecificCharacterSet converter;
    if (converter.selectCharacterSet(charset).good() && converter.convertString(text, converted, "\\^=").good()) return converted;
    converted.clear();
    for (const char c : text) {
        if (c & 0x80) {
            converted += static_cast<char>(0xC0 | (static_cast<unsigned char>(c) >> 6));
            converted += static_cast<char>(0x80 | (c & 0x3F));
        } else
            converted += c;
    }
    return converted;
}

OFCondition readUntil(const DcmTagKey &stop, DcmInputStream &stream, DcmFileFormat &format) {
    if (stream.status().bad()) return stream.status();
    format.setReadMode(ERM_fileOnly);
    format.transferInit();
    const OFCondition result = format.readUntilTag(stream, EXS_Unknown, EGL_noChange, DCM_MaxReadLength, stop);
    format.transferEnd();
    return result;
}

/// Reads a file in an encapsulated transfer syntax younger than the toolkit, such as High-Throughput JPEG 2000, of which the toolkit
/// says that there is no header. Data sets are in explicit VR little endian in all of these (PS3.5 A.4), as in one that it knows.
OFCondition readYoung(const DcmTagKey &stop, DcmInputStream &stream, DcmFileFormat &format) {
    DcmMetaInfo &meta = *format.getMetaInfo();
    DcmDataset &dataset = *format.getDataset();
    meta.transferInit();
    OFCondition result = stream.status().bad() ? stream.status() : meta.read(stream, EXS_Unknown, EGL_noChange, DCM_MaxReadLength);
    meta.transferEnd();
    OFString uid;
    if (result.good()) result = meta.findAndGetOFString(DCM_TransferSyntaxUID, uid);
    const OFString encapsulated = "1.2.840.10008.1.2.4.";
    if (result.bad() || uid.compare(0, encapsulated.size(), encapsulated) != 0) return EC_FileMetaInfoHeaderMissing;
    dataset.transferInit();
    result = dataset.readUntilTag(stream, EXS_JPEG2000, EGL_noChange, DCM_MaxReadLength, stop);
    dataset.transferEnd();
    return result;
}

template <class T> int toDoubles(DcmElement *found, OFCondition (DcmElement::*get)(T *&), double **values, size_t *count) {
    T *raw = nullptr;
    if ((found->*get)(raw).bad()) return 0;
    *count = raw == nullptr ? 0 : found->getLength() / sizeof(T);
    *values = allocate<double>(*count);
    for (size_t i = 0; i < *count; ++i) (*values)[i] = static_cast<double>(raw[i]);
    return 1;
}

/// Reads from the stream that `open` makes, anew where the transfer syntax is younger than the toolkit.
template <class Open> OFCondition load(std::unique_ptr<cdcmtk_file> &file, const DcmTagKey &stop, size_t *end, Open open) {
    file = std::make_unique<cdcmtk_file>();
    auto stream = open();
    OFCondition result = readUntil(stop, *stream, file->format);
    if (result == EC_FileMetaInfoHeaderMissing) {
        file = std::make_unique<cdcmtk_file>();
        stream = open();
        result = readYoung(stop, *stream, file->format);
    }
    *end = static_cast<size_t>(stream->tell());
    return result;
}

} // namespace

cdcmtk_file *cdcmtk_file_create(cdcmtk_error *error) {
    return guarded<cdcmtk_file *>(error, nullptr, [] { return new cdcmtk_file; });
}

cdcmtk_file *cdcmtk_file_load(const char *path, int has_stop, uint16_t group, uint16_t element, size_t *end, cdcmtk_error *error) {
    return guarded<cdcmtk_file *>(error, nullptr, [&]() -> cdcmtk_file * {
        std::unique_ptr<cdcmtk_file> file;
        const DcmTagKey stop = has_stop ? DcmTagKey(group, element) : DCM_UndefinedTagKey;
        const OFCondition result = load(file, stop, end, [&] { return std::make_unique<face::Shallow<DcmInputFileStream>>(OFFilename(path)); });
        if (result.bad()) return face::fail(error, CDCMTK_CANNOT_READ, "%s", result.text()), nullptr;
        return file.release();
    });
}

cdcmtk_file *cdcmtk_file_load_start(const uint8_t *bytes, size_t count, uint16_t group, uint16_t element, size_t *end) {
    return guarded<cdcmtk_file *>(nullptr, nullptr, [&]() -> cdcmtk_file * {
        std::unique_ptr<cdcmtk_file> file;
        const OFCondition result = load(file, DcmTagKey(group, element), end, [&] {
            auto stream = std::make_unique<face::Shallow<DcmInputBufferStream>>();
            stream->setBuffer(bytes, static_cast<offile_off_t>(count));
            return stream;
        });
        return result.good() ? file.release() : nullptr;
    });
}

void cdcmtk_file_free(cdcmtk_file *file) {
    guarded(nullptr, 0, [&] { delete file; return 0; });
}

cdcmtk_item *cdcmtk_file_dataset(cdcmtk_file *file) { return face::handle(file->format.getDataset()); }

int cdcmtk_file_transfer_syntax(cdcmtk_file *file, char uid[65]) {
    return guarded(nullptr, 0, [&] {
        OFString value;
        if (file->format.getMetaInfo()->findAndGetOFString(DCM_TransferSyntaxUID, value).bad() || value.size() > 64) return 0;
        memcpy(uid, value.c_str(), value.size() + 1);
        return 1;
    });
}

int cdcmtk_item_contains(cdcmtk_item *item, uint16_t group, uint16_t element) {
    return guarded(nullptr, 0, [&] { return find(item, group, element) != nullptr ? 1 : 0; });
}

int cdcmtk_item_text(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element, char **text, size_t *length) {
    return guarded(nullptr, 0, [&] {
        DcmElement *found = find(item, group, element);
        if (found == nullptr || !found->isaString()) return 0;
        OFString value;
        if (found->getOFStringArray(value).bad()) return 0;
        if (!isASCII(value)) value = utf8(value, file);
        *length = value.size();
        *text = allocate<char>(value.size());
        memcpy(*text, value.data(), value.size());
        return 1;
    });
}

int cdcmtk_item_numbers(cdcmtk_item *item, uint16_t group, uint16_t element, double **values, size_t *count) {
    return guarded(nullptr, 0, [&] {
        DcmElement *found = find(item, group, element);
        if (found == nullptr) return 0;
        switch (found->ident()) {
        case EVR_US: return toDoubles<Uint16>(found, &DcmElement::getUint16Array, values, count);
        case EVR_SS: return toDoubles<Sint16>(found, &DcmElement::getSint16Array, values, count);
        case EVR_UL: return toDoubles<Uint32>(found, &DcmElement::getUint32Array, values, count);
        case EVR_SL: return toDoubles<Sint32>(found, &DcmElement::getSint32Array, values, count);
        case EVR_FL: return toDoubles<Float32>(found, &DcmElement::getFloat32Array, values, count);
        case EVR_FD: return toDoubles<Float64>(found, &DcmElement::getFloat64Array, values, count);
        default: return 0;
        }
    });
}

int cdcmtk_item_tags(cdcmtk_item *item, uint16_t group, uint16_t element, uint32_t **values, size_t *count) {
    return guarded(nullptr, 0, [&] {
        DcmElement *found = find(item, group, element);
        if (found == nullptr || found->ident() != EVR_AT) return 0;
        *count = found->getVM();
        *values = allocate<uint32_t>(*count);
        for (size_t i = 0; i < *count; ++i) {
            DcmTagKey tag;
            found->getTagVal(tag, i);
            (*values)[i] = static_cast<uint32_t>(tag.getGroup()) << 16 | tag.getElement();
        }
        return 1;
    });
}

int cdcmtk_item_bytes(cdcmtk_item *item, uint16_t group, uint16_t element, const uint8_t **bytes, size_t *count) {
    return guarded(nullptr, 0, [&] {
        DcmElement *found = find(item, group, element);
        if (found == nullptr || found->isaString() || found->ident() == EVR_SQ) return 0;
        Uint8 *raw = nullptr;
        Uint16 *words = nullptr;
        if (found->getUint8Array(raw).bad()) {
            if (found->getUint16Array(words).bad()) return 0;
            raw = reinterpret_cast<Uint8 *>(words);
        }
        *bytes = raw;
        *count = raw == nullptr ? 0 : found->getLength();
        return 1;
    });
}

int cdcmtk_item_items(cdcmtk_item *item, uint16_t group, uint16_t element, cdcmtk_item ***items, size_t *count) {
    return guarded(nullptr, 0, [&] {
        DcmElement *found = find(item, group, element);
        if (found == nullptr || found->ident() != EVR_SQ) return 0;
        auto *sequence = static_cast<DcmSequenceOfItems *>(found);
        *count = 0;
        *items = allocate<cdcmtk_item *>(sequence->card());
        // getItem(n) walks from the start each time; this does not.
        for (DcmObject *next = sequence->nextInContainer(nullptr); next != nullptr; next = sequence->nextInContainer(next))
            (*items)[(*count)++] = face::handle(static_cast<DcmItem *>(next));
        return 1;
    });
}
