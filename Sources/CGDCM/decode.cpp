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
void check(TransferSyntax::TSType syntax, const cgdcm_format &format, std::vector<uint8_t> &stream) {
    if (format.bits_allocated != 8 && format.bits_allocated != 16) throw std::invalid_argument("its Bits Allocated is neither 8 nor 16");
    if (format.bits_stored == 0 || format.bits_stored > format.high_bit + 1 || format.high_bit >= format.bits_allocated)
        throw std::invalid_argument("its Bits Stored and High Bit do not fit Bits Allocated");
    codestream::Frame frame;
    switch (syntax) {
    case TransferSyntax::RLELossless:
        return codestream::check_rle(stream, format.bits_allocated / 8);
    case TransferSyntax::JPEG2000Lossless:
    case TransferSyntax::JPEG2000:
        frame = codestream::jpeg2000(stream);
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
        frame = codestream::jpeg(stream);
        break;
    default:
        throw std::invalid_argument("there is no codec for its transfer syntax");
    }
    if (frame.columns != format.columns || frame.rows != format.rows || frame.components != 1)
        throw std::invalid_argument("its codestream has other columns, rows or components than the data set");
    if (frame.bits > format.bits_allocated) throw std::invalid_argument("its codestream has wider samples than Bits Allocated");
}

gdcm::DataElement pixel_data(std::vector<uint8_t> stream) {
    if (stream.size() % 2) stream.push_back(0);
    gdcm::Fragment fragment;
    fragment.SetByteValue(reinterpret_cast<const char *>(stream.data()), static_cast<uint32_t>(stream.size()));
    gdcm::SmartPointer<gdcm::SequenceOfFragments> sequence = new gdcm::SequenceOfFragments;
    sequence->AddFragment(fragment);
    gdcm::DataElement element(gdcm::Tag(0x7FE0, 0x0010), 0, gdcm::VR::OB);
    element.SetValue(*sequence);
    return element;
}

void decode(TransferSyntax::TSType syntax, const cgdcm_format &format, std::vector<uint8_t> stream, cgdcm_image &image) {
    if (stream.size() > UINT32_MAX - 1) throw std::invalid_argument("its codestream is too long");
    check(syntax, format, stream);
    gdcm::Image frame;
    frame.SetTransferSyntax(syntax);
    frame.SetNumberOfDimensions(2);
    frame.SetDimension(0, format.columns);
    frame.SetDimension(1, format.rows);
    frame.SetPixelFormat(gdcm::PixelFormat(1, format.bits_allocated, format.bits_stored, format.high_bit, format.is_signed != 0));
    frame.SetPhotometricInterpretation(gdcm::PhotometricInterpretation::MONOCHROME2);
    frame.SetDataElement(pixel_data(std::move(stream)));

    image.length = size_t(format.columns) * format.rows * (format.bits_allocated / 8);
    if (image.length == 0 || image.length != frame.GetBufferLength()) throw std::invalid_argument("its pixel format is contradictory");
    image.bytes = static_cast<uint8_t *>(std::calloc(image.length, 1));
    if (image.bytes == nullptr) throw std::bad_alloc();
    if (!frame.GetBuffer(reinterpret_cast<char *>(image.bytes))) throw std::invalid_argument("its codestream cannot be decoded");
    if (frame.GetBufferLength() != image.length) throw std::invalid_argument("its codestream has narrower samples than Bits Allocated");
    const gdcm::PixelFormat &decoded = frame.GetPixelFormat();
    image.format = {format.columns, format.rows, format.bits_allocated, decoded.GetBitsStored(), decoded.GetHighBit(), decoded.GetPixelRepresentation() != 0};
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
        decode(TransferSyntax::GetTSType(transfer_syntax), *format, {codestream, codestream + length}, *image);
        return 1;
    } catch (const std::exception &error) {
        std::snprintf(reason, reason_size, "%s", error.what());
    } catch (...) {
        std::snprintf(reason, reason_size, "its codec failed");
    }
    cgdcm_image_free(image);
    return 0;
}

extern "C" void cgdcm_image_free(cgdcm_image *image) {
    std::free(image->bytes);
    *image = {};
}
