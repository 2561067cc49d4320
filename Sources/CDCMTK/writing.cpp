#include "output.hpp"
#include <charconv>
#include <cstring>
#include <cmath>

using face::fail;
using face::guarded;
using face::object;

namespace {

/// Largest value field an element with a 16-bit length can hold (PS3.5 7.1.2), even.
constexpr Uint32 shortLengthLimit = 65534;

/// Deletes an element that was taken out of an item, unless somebody may still hold its items.
void dispose(cdcmtk_file *file, DcmElement *old) {
    std::unique_ptr<DcmElement> owned(old);
    if (old != nullptr && old->ident() == EVR_SQ) file->removed.push_back(std::move(owned));
}

int put(cdcmtk_file *file, cdcmtk_item *item, std::unique_ptr<DcmElement> element, cdcmtk_error *error) {
    dispose(file, object(item)->remove(element->getTag()));
    const OFCondition result = object(item)->insert(element.get(), OFTrue);
    if (result.bad()) {
        fail(error, CDCMTK_INVALID, "%s: %s", face::name(element->getTag()).c_str(), result.text());
        return 0;
    }
    element.release();
    return 1;
}

/// A new element of the tag's VR; NULL with an error when the dictionary does not know it.
std::unique_ptr<DcmElement> make(const DcmTag &tag, cdcmtk_error *error) {
    DcmElement *element = nullptr;
    const OFCondition result = DcmItem::newDicomElementWithVR(element, tag);
    if (result.bad() || element == nullptr) fail(error, CDCMTK_INVALID, "%s: %s", face::name(tag).c_str(), result.text());
    return std::unique_ptr<DcmElement>(element);
}

int refuse(const DcmTagKey &tag, const char *reason, cdcmtk_error *error) {
    fail(error, CDCMTK_INVALID, "%s (VR %s): %s", face::name(tag).c_str(), DcmTag(tag).getVRName(), reason);
    return 0;
}

bool isUTF8(cdcmtk_file *file) {
    OFString charset;
    file->format.getDataset()->findAndGetOFString(DCM_SpecificCharacterSet, charset);
    return charset == "ISO_IR 192";
}

/// What DCMTK's own check lets through or takes too strictly: the lengths of text that a character set may touch, and UIDs, where
/// leading zeros in components must stay possible, since old devices send them and references repeat them.
const char *objection(const DcmTag &tag, const OFString &text) {
    const bool single = tag.getEVR() == EVR_ST || tag.getEVR() == EVR_LT || tag.getEVR() == EVR_UT;
    size_t length = 0;
    for (const char c : text) {
        if (c == '\\' && !single) length = 0;
        else if ((c & 0xC0) != 0x80 && ++length > tag.getVR().getMaxValueLength()) return "value is too long";
        if (tag.getEVR() == EVR_UI && c != '\\' && c != '.' && !(c >= '0' && c <= '9')) return "no UID";
    }
    return nullptr;
}

/// Appends a DS value: the shortest digits that read back equal, fewer where those exceed 16 characters (PS3.5 6.2).
void appendDecimal(std::string &text, double value) {
    char digits[40];
    auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    for (int precision = 15; end - digits > 16; --precision)
        end = std::to_chars(digits, digits + sizeof digits, value, std::chars_format::general, precision).ptr;
    text.append(digits, end);
}

template <class T, class Put>
int putIntegers(cdcmtk_file *file, cdcmtk_item *item, const DcmTag &tag, const double *values, size_t count, cdcmtk_error *error, Put putArray) {
    std::vector<T> integers(count);
    for (size_t i = 0; i < count; ++i) {
        if (!(values[i] >= std::numeric_limits<T>::min() && values[i] <= std::numeric_limits<T>::max()) || values[i] != std::trunc(values[i]))
            return refuse(tag, "number out of the VR's range", error);
        integers[i] = static_cast<T>(values[i]);
    }
    auto element = make(tag, error);
    if (!element) return 0;
    if ((element.get()->*putArray)(integers.data(), count).bad()) return refuse(tag, "takes no such numbers", error);
    return put(file, item, std::move(element), error);
}

/// The first element that a 16-bit length cannot describe; DCMTK would write it as UN without a word.
const DcmElement *firstTooLong(DcmItem *item) {
    for (DcmObject *next = item->nextInContainer(nullptr); next != nullptr; next = item->nextInContainer(next)) {
        auto *element = static_cast<DcmElement *>(next);
        if (element->ident() == EVR_SQ) {
            auto *sequence = static_cast<DcmSequenceOfItems *>(element);
            for (DcmObject *child = sequence->nextInContainer(nullptr); child != nullptr; child = sequence->nextInContainer(child))
                if (const DcmElement *found = firstTooLong(static_cast<DcmItem *>(child))) return found;
        } else if (!DcmVR(element->getVR()).usesExtendedLengthEncoding() && element->getLength() > shortLengthLimit)
            return element;
    }
    return nullptr;
}

/// Writes the whole file; 0 or an errno in failure, for what the disk said.
OFCondition writeFile(DcmFileFormat &format, const char *path, E_TransferSyntax syntax, cdcmtk_tail tail, void *context, int &failure) {
    face::FileConsumer file(path, O_TRUNC);
    face::FileOutput output(file);
    format.transferInit();
    const OFCondition result = format.write(output, syntax, EET_ExplicitLength, nullptr, EGL_withoutGL, EPD_noChange, 0, 0, 0, EWM_dontUpdateMeta);
    format.transferEnd();
    output.flush(); // what the deflating filter still holds
    if (result.good() && tail != nullptr) tail(context, reinterpret_cast<cdcmtk_output *>(&file));
    if (result.good()) failure = file.finish(false);
    return result;
}

} // namespace

OFCondition face::identify(DcmMetaInfo &meta, const char *implementation_class, const char *implementation_version) {
    OFCondition result = meta.putAndInsertString(DCM_ImplementationClassUID, implementation_class);
    if (result.good()) result = meta.putAndInsertString(DCM_ImplementationVersionName, implementation_version);
    if (result.good()) result = meta.putAndInsertUint32(DCM_FileMetaInformationGroupLength, 0);
    if (result.good()) result = meta.computeGroupLengthAndPadding(EGL_withGL, EPD_noChange, META_HEADER_DEFAULT_TRANSFERSYNTAX, EET_UndefinedLength);
    return result;
}

int cdcmtk_file_save(cdcmtk_file *file, const char *path, const char *transfer_syntax, const char *implementation_class,
                     const char *implementation_version, cdcmtk_tail tail, void *context, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        DcmDataset *dataset = file->format.getDataset();
        const DcmXfer syntax(transfer_syntax);
        OFString sopClass, sopInstance;
        if (syntax.getXfer() == EXS_Unknown) return fail(error, CDCMTK_CANNOT_WRITE, "unknown transfer syntax %s", transfer_syntax), 0;
        if (tail != nullptr && syntax.getXfer() != EXS_LittleEndianExplicit)
            return fail(error, CDCMTK_CANNOT_WRITE, "only explicit VR little endian can be continued"), 0;
        if (dataset->findAndGetOFString(DCM_SOPClassUID, sopClass).bad() || sopClass.empty() ||
            dataset->findAndGetOFString(DCM_SOPInstanceUID, sopInstance).bad() || sopInstance.empty())
            return fail(error, CDCMTK_CANNOT_WRITE, "the data set has no SOPClassUID or no SOPInstanceUID"), 0;
        if (syntax.isExplicitVR())
            if (const DcmElement *element = firstTooLong(dataset))
                return fail(error, CDCMTK_CANNOT_WRITE, "%s holds %u bytes, more than an explicit VR element with a 16-bit length can (PS3.5 7.1.2)",
                            face::name(element->getTag()).c_str(), const_cast<DcmElement *>(element)->getLength()), 0;
        // Values may still lie in the very file that is about to be overwritten.
        OFCondition result = dataset->loadAllDataIntoMemory();
        if (result.good()) result = dataset->chooseRepresentation(syntax.getXfer(), nullptr);
        if (result.good()) result = file->format.validateMetaInfo(syntax.getXfer(), EWM_createNewMeta);
        if (result.good()) result = face::identify(*file->format.getMetaInfo(), implementation_class, implementation_version);
        int failure = 0;
        if (result.good()) result = writeFile(file->format, path, syntax.getXfer(), tail, context, failure);
        if (failure != 0) return fail(error, CDCMTK_CANNOT_WRITE, "%s", strerror(failure)), 0;
        if (result.bad()) return fail(error, CDCMTK_CANNOT_WRITE, "%s", result.text()), 0;
        return 1;
    });
}

void cdcmtk_output_append(cdcmtk_output *output, const uint8_t *bytes, size_t count) {
    guarded(nullptr, 0, [&] { return reinterpret_cast<face::FileConsumer *>(output)->write(bytes, static_cast<offile_off_t>(count)), 0; });
}

int cdcmtk_item_set_text(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element, const char *text,
                         size_t length, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        const DcmTag tag(group, element);
        const OFString value(length ? text : "", length);
        auto made = make(tag, error);
        if (!made) return 0;
        if (length == 0) return put(file, item, std::move(made), error); // an empty element of any VR
        if (!made->isaString()) return refuse(tag, "takes no text", error);
        bool ascii = true;
        for (const char c : value) {
            if (c == 0) return refuse(tag, "text holds a NUL", error);
            ascii = ascii && !(c & 0x80);
        }
        if (!ascii && !(tag.getVR().isAffectedBySpecificCharacterSet() && isUTF8(file)))
            return refuse(tag, "text is not ASCII and the data set's SpecificCharacterSet is not ISO_IR 192", error);
        if (const char *reason = objection(tag, value)) return refuse(tag, reason, error);
        if (made->putOFStringArray(value).bad()) return refuse(tag, "takes no such text", error);
        if (ascii && tag.getEVR() != EVR_UI) {
            const OFCondition result = made->checkValue();
            if (result.bad()) return refuse(tag, result.text(), error);
        }
        return put(file, item, std::move(made), error);
    });
}

int cdcmtk_item_set_numbers(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element, const double *values,
                            size_t count, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        DcmTag tag(group, element);
        if (tag.getEVR() == EVR_xs) { // US or SS: PixelRepresentation decides (PS3.5 A.2), a negative value here
            bool negative = false;
            for (size_t i = 0; i < count; ++i) negative = negative || values[i] < 0;
            tag.setVR(negative ? EVR_SS : EVR_US);
        }
        std::string text;
        for (size_t i = 0; i < count; ++i)
            if (!std::isfinite(values[i])) return refuse(tag, "number is not finite", error);
        switch (tag.getEVR()) {
        case EVR_US: return putIntegers<Uint16>(file, item, tag, values, count, error, &DcmElement::putUint16Array);
        case EVR_SS: return putIntegers<Sint16>(file, item, tag, values, count, error, &DcmElement::putSint16Array);
        case EVR_UL: return putIntegers<Uint32>(file, item, tag, values, count, error, &DcmElement::putUint32Array);
        case EVR_SL: return putIntegers<Sint32>(file, item, tag, values, count, error, &DcmElement::putSint32Array);
        case EVR_FL:
        case EVR_FD: {
            auto made = make(tag, error);
            if (!made) return 0;
            const std::vector<Float32> singles(values, values + count);
            const OFCondition result = tag.getEVR() == EVR_FD ? made->putFloat64Array(values, count) : made->putFloat32Array(singles.data(), count);
            if (result.bad()) return refuse(tag, result.text(), error);
            return put(file, item, std::move(made), error);
        }
        case EVR_DS:
            for (size_t i = 0; i < count; ++i) {
                if (i > 0) text += '\\';
                appendDecimal(text, values[i]);
            }
            break;
        case EVR_IS:
            for (size_t i = 0; i < count; ++i) {
                if (std::abs(values[i]) > 2147483647.0 || values[i] != std::trunc(values[i])) return refuse(tag, "number out of the VR's range", error);
                if (i > 0) text += '\\';
                text += std::to_string(static_cast<long>(values[i]));
            }
            break;
        default: return refuse(tag, "takes no numbers", error);
        }
        auto made = make(tag, error);
        if (!made) return 0;
        if (made->putOFStringArray(OFString(text.data(), text.size())).bad()) return refuse(tag, "takes no such numbers", error);
        return put(file, item, std::move(made), error);
    });
}

int cdcmtk_item_set_tags(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element, const uint32_t *values,
                         size_t count, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        const DcmTag tag(group, element);
        if (tag.getEVR() != EVR_AT) return refuse(tag, "takes no tags", error);
        auto made = make(tag, error);
        if (!made) return 0;
        for (size_t i = 0; i < count; ++i)
            if (made->putTagVal(DcmTagKey(values[i] >> 16, values[i] & 0xFFFF), i).bad()) return refuse(tag, "takes no such tag", error);
        return put(file, item, std::move(made), error);
    });
}

int cdcmtk_item_set_bytes(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element, const uint8_t *bytes,
                          size_t count, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        const DcmTag tag(group, element);
        auto made = make(tag, error);
        if (!made) return 0;
        OFCondition result = made->putUint8Array(bytes, count);
        if (result.bad() && count % 2 == 0) {
            // A pure OW element takes words only; the copy is for their alignment.
            std::vector<Uint16> words(count / 2);
            memcpy(words.data(), bytes, count);
            result = made->putUint16Array(words.data(), words.size());
        }
        if (result.bad()) return refuse(tag, "takes no such bytes", error);
        return put(file, item, std::move(made), error);
    });
}

cdcmtk_item *cdcmtk_item_add_item(cdcmtk_item *item, uint16_t group, uint16_t element, cdcmtk_error *error) {
    return guarded<cdcmtk_item *>(error, nullptr, [&]() -> cdcmtk_item * {
        const DcmTag tag(group, element);
        if (tag.getEVR() != EVR_SQ) return refuse(tag, "is no sequence", error), nullptr;
        DcmItem *added = nullptr;
        const OFCondition result = object(item)->findOrCreateSequenceItem(tag, added, -2);
        if (result.bad()) return refuse(tag, result.text(), error), nullptr;
        return face::handle(added);
    });
}

int cdcmtk_item_copy(cdcmtk_file *file, cdcmtk_item *item, cdcmtk_item *source, uint16_t group, uint16_t element,
                     cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        DcmElement *copied = nullptr;
        if (object(source)->findAndGetElement(DcmTagKey(group, element), copied, OFFalse, OFTrue).bad()) return 1;
        return put(file, item, std::unique_ptr<DcmElement>(copied), error);
    });
}

void cdcmtk_item_remove(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element) {
    guarded(nullptr, 0, [&] { return dispose(file, object(item)->remove(DcmTagKey(group, element))), 0; });
}
