#include "guard.hpp"
#include <algorithm>
#include <gdcm-3.0/gdcmFragment.h>
#include <gdcm-3.0/gdcmImage.h>
#include <gdcm-3.0/gdcmSequenceOfFragments.h>
#include <gdcm-3.0/gdcmTrace.h>
#include <mutex>
#include <stdexcept>
#include <vector>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GDCM decodes to the machine's byte order");

namespace {

gdcm::DataElement pixel_data(const uint8_t *codestream, size_t length) {
    std::vector<char> stream(codestream, codestream + length);
    // Behind a scan that ends without a marker, CharLS 2.4 reads four thousand million bits of nothing before it gives up.
    stream.insert(stream.end(), {'\xFF', '\xD9'});
    if (stream.size() % 2) stream.push_back(0);
    gdcm::Fragment fragment;
    fragment.SetByteValue(stream.data(), static_cast<uint32_t>(stream.size()));
    gdcm::SmartPointer<gdcm::SequenceOfFragments> sequence = new gdcm::SequenceOfFragments;
    sequence->AddFragment(fragment);
    gdcm::DataElement element(gdcm::Tag(0x7FE0, 0x0010), 0, gdcm::VR::OB);
    element.SetValue(*sequence);
    return element;
}

} // namespace

extern "C" int cgdcm_decode_jpegls(const uint8_t *codestream, size_t length, uint32_t columns, uint32_t rows, uint32_t precision,
                                   uint16_t *words, char *reason, size_t reason_size) {
    return cgdcm::guarded(reason, reason_size, [&] {
        static std::once_flag quiet;
        std::call_once(quiet, [] {
            gdcm::Trace::DebugOff();
            gdcm::Trace::WarningOff();
            gdcm::Trace::ErrorOff();
        });
        if (length > UINT32_MAX - 4) throw std::invalid_argument("its codestream is too long");
        const auto allocated = static_cast<unsigned short>(precision > 8 ? 16 : 8);
        gdcm::Image frame;
        frame.SetTransferSyntax(gdcm::TransferSyntax::JPEGLSNearLossless);
        frame.SetNumberOfDimensions(2);
        frame.SetDimension(0, columns);
        frame.SetDimension(1, rows);
        frame.SetPixelFormat(gdcm::PixelFormat(1, allocated, static_cast<unsigned short>(precision), static_cast<unsigned short>(precision - 1), 0));
        frame.SetPhotometricInterpretation(gdcm::PhotometricInterpretation::MONOCHROME2);
        frame.SetDataElement(pixel_data(codestream, length));
        const size_t count = size_t(columns) * rows, bytes = count * (allocated / 8);
        if (frame.GetBufferLength() != bytes) throw std::invalid_argument("its pixel format is contradictory");
        if (!frame.GetBuffer(reinterpret_cast<char *>(words))) throw std::invalid_argument("its codestream is truncated or broken");
        if (allocated == 8) {  // widen in place, from the end
            const auto *samples = reinterpret_cast<const uint8_t *>(words);
            for (size_t i = count; i-- > 0;) words[i] = samples[i];
        }
    });
}
