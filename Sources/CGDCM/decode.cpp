#include "CGDCM.h"
#include "codestream.hpp"
#include <cstdio>
#include <cstdlib>
#include <gdcm-3.0/gdcmFragment.h>
#include <gdcm-3.0/gdcmImage.h>
#include <gdcm-3.0/gdcmSequenceOfFragments.h>
#include <gdcm-3.0/gdcmTrace.h>
#include <mutex>
#include <stdexcept>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GDCM decodes to the machine's byte order");

namespace {

using gdcm::TransferSyntax;

/// Holds the codestream's own header against the data set; throws when they do not agree.
void check(TransferSyntax::TSType syntax, const cgdcm_format &format, const uint8_t *bytes, size_t length) {
    codestream::Frame frame;
    switch (syntax) {
    case TransferSyntax::RLELossless:
        return codestream::check_rle(bytes, length, format.samples_per_pixel * format.bits_allocated / 8);
    case TransferSyntax::JPEG2000Lossless:
    case TransferSyntax::JPEG2000:
        frame = codestream::jpeg2000(bytes, length);
        break;
    case TransferSyntax::JPEGBaselineProcess1:
    case TransferSyntax::JPEGExtendedProcess2_4:
    case TransferSyntax::JPEGExtendedProcess3_5:
    case TransferSyntax::JPEGSpectralSelectionProcess6_8:
    case TransferSyntax::JPEGFullProgressionProcess10_12:
    case TransferSyntax::JPEGLosslessProcess14:
    case TransferSyntax::JPEGLosslessProcess14_1:
    case TransferSyntax::JPEGLSLossless:
    case TransferSyntax::JPEGLSNearLossless:
        frame = codestream::jpeg(bytes, length);
        break;
    default:
        throw std::invalid_argument("no codec for its transfer syntax");
    }
    if (frame.columns != format.columns || frame.rows != format.rows || frame.samples != format.samples_per_pixel)
        throw std::invalid_argument("the codestream's columns, rows or samples are not the data set's");
    if (frame.bits == 0 || frame.bits > format.bits_allocated) throw std::invalid_argument("the codestream's samples are wider than Bits Allocated");
}

/// The pixel data element of one frame. A JFIF header is made a comment: GDCM aborts when its density unit is unknown.
gdcm::DataElement element(const uint8_t *bytes, size_t length) {
    std::vector<char> even(bytes, bytes + length);
    if (length % 2) even.push_back(0);
    if (codestream::starts_with_jfif(bytes, length)) even[3] = '\xFE';
    gdcm::Fragment fragment;
    fragment.SetByteValue(even.data(), static_cast<uint32_t>(even.size()));
    gdcm::SmartPointer<gdcm::SequenceOfFragments> sequence = new gdcm::SequenceOfFragments;
    sequence->AddFragment(fragment);
    gdcm::DataElement pixel_data(gdcm::Tag(0x7FE0, 0x0010), 0, gdcm::VR::OB);
    pixel_data.SetValue(*sequence);
    return pixel_data;
}

void decode(const char *transfer_syntax, const cgdcm_format &format, const uint8_t *bytes, size_t length, cgdcm_image &image) {
    const TransferSyntax::TSType syntax = TransferSyntax::GetTSType(transfer_syntax);
    if (length > UINT32_MAX - 1) throw std::invalid_argument("the codestream is too long");
    if (format.bits_allocated != 8 && format.bits_allocated != 16) throw std::invalid_argument("Bits Allocated is neither 8 nor 16");
    if (format.bits_stored == 0 || format.bits_stored > format.high_bit + 1 || format.high_bit >= format.bits_allocated)
        throw std::invalid_argument("Bits Stored and High Bit do not fit Bits Allocated");
    const gdcm::PhotometricInterpretation photometric(gdcm::PhotometricInterpretation::GetPIType(format.photometric));
    if (photometric == gdcm::PhotometricInterpretation::PI_END) throw std::invalid_argument("its Photometric Interpretation is unknown");
    check(syntax, format, bytes, length);

    gdcm::Image frame;
    frame.SetTransferSyntax(syntax);
    frame.SetNumberOfDimensions(2);
    frame.SetDimension(0, format.columns);
    frame.SetDimension(1, format.rows);
    frame.SetPixelFormat(gdcm::PixelFormat(format.samples_per_pixel, format.bits_allocated, format.bits_stored, format.high_bit, format.is_signed != 0));
    frame.SetPhotometricInterpretation(photometric);
    frame.SetDataElement(element(bytes, length));
    image.length = size_t(format.columns) * format.rows * format.samples_per_pixel * (format.bits_allocated / 8);
    if (image.length == 0 || image.length != frame.GetBufferLength()) throw std::invalid_argument("its pixel format is contradictory");
    image.bytes = static_cast<uint8_t *>(std::calloc(image.length, 1));
    if (image.bytes == nullptr) throw std::bad_alloc();
    if (!frame.GetBuffer(reinterpret_cast<char *>(image.bytes))) throw std::invalid_argument("the codestream cannot be decoded");

    const gdcm::PixelFormat &decoded = frame.GetPixelFormat();
    if (frame.GetBufferLength() != image.length) throw std::invalid_argument("the codestream decodes to another size than the data set says");
    image.format = format;
    image.format.bits_stored = decoded.GetBitsStored();
    image.format.high_bit = decoded.GetHighBit();
    image.format.is_signed = decoded.GetPixelRepresentation() != 0;
    std::snprintf(image.format.photometric, sizeof image.format.photometric, "%s", frame.GetPhotometricInterpretation().GetString());
}

} // namespace

extern "C" int cgdcm_decode(const char *transfer_syntax, const cgdcm_format *format, const uint8_t *codestream, size_t length,
                            cgdcm_image *image, char *reason, size_t reason_size) {
    *image = {};
    try {
        static std::once_flag quiet;
        std::call_once(quiet, [] {
            gdcm::Trace::DebugOff();
            gdcm::Trace::WarningOff();
            gdcm::Trace::ErrorOff();
        });
        decode(transfer_syntax, *format, codestream, length, *image);
        return 1;
    } catch (const std::exception &error) {
        std::snprintf(reason, reason_size, "%s", error.what());
    } catch (...) {
        std::snprintf(reason, reason_size, "the codec failed");
    }
    cgdcm_image_free(image);
    return 0;
}

extern "C" void cgdcm_image_free(cgdcm_image *image) {
    std::free(image->bytes);
    *image = {};
}
