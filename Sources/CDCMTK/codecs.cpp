#include "face.hpp"
#include <cstring>
#include <dcmtk/dcmdata/dcrledec.h>
#include <dcmtk/dcmjpeg/djcparam.h>
#include <dcmtk/dcmjpeg/djdijg12.h>
#include <dcmtk/dcmjpeg/djdijg16.h>
#include <dcmtk/dcmjpeg/djdijg8.h>

namespace {

/// One of the toolkit's JPEG decoders, which counts what its library only warns of: data that do not add up.
template <class Decoder> class Warned : public Decoder {
  public:
    using Decoder::Decoder;
    void emitMessage(int level) const override {
        if (level < 0) ++warnings;
    }
    mutable int warnings = 0;
};

/// Decodes into `count` samples of 8 or 16 bits.
template <class Decoder, class Sample>
int decode(const uint8_t *codestream, size_t length, Sample *samples, size_t count, cdcmtk_error *error) {
    const DJCodecParameter parameter(ECC_lossyYCbCr, EDC_never, EUC_never, EPC_default);
    Warned<Decoder> decoder(parameter, OFFalse);
    OFCondition result = decoder.init();
    if (result.good())
        result = decoder.decode(const_cast<Uint8 *>(codestream), static_cast<Uint32>(length), reinterpret_cast<Uint8 *>(samples),
                                static_cast<Uint32>(count * sizeof(Sample)), OFFalse);
    if (result.good() && decoder.warnings == 0) return 1;
    face::fail(error, CDCMTK_INVALID, "its codestream is truncated or broken");
    return 0;
}

} // namespace

int cdcmtk_decode_jpeg(const uint8_t *codestream, size_t length, uint32_t precision, uint16_t *words, size_t count, cdcmtk_error *error) {
    return face::guarded(error, 0, [&] {
        if (length > UINT32_MAX || count > UINT32_MAX / 2) throw std::length_error("its codestream is too long");
        if (precision > 12) return decode<DJDecompressIJG16Bit>(codestream, length, words, count, error);
        if (precision > 8) return decode<DJDecompressIJG12Bit>(codestream, length, words, count, error);
        std::vector<uint8_t> samples(count);
        const int result = decode<DJDecompressIJG8Bit>(codestream, length, samples.data(), count, error);
        std::copy(samples.begin(), samples.end(), words);
        return result;
    });
}

int cdcmtk_decode_rle(const uint8_t *codestream, size_t length, uint32_t segments, uint16_t *words, size_t count, cdcmtk_error *error) {
    return face::guarded(error, 0, [&] {
        // The header of PS3.5 G.5: the number of segments, then the offset of each.
        uint32_t header[16] = {};
        if (length < sizeof header) throw std::invalid_argument("its RLE header is truncated");
        memcpy(header, codestream, sizeof header);
        if (segments == 0 || segments > 2 || header[0] != segments) throw std::invalid_argument("its RLE header has another number of segments than the frame needs");
        header[1 + segments] = static_cast<uint32_t>(length);
        memset(words, 0, count * sizeof *words);
        constexpr size_t padding = 2;  // some encoders pad with a run of zeros
        DcmRLEDecoder decoder(count + padding);
        for (uint32_t segment = 1; segment <= segments; ++segment) {  // most significant byte first
            const size_t begin = header[segment], end = header[segment + 1];
            if (begin < sizeof header || begin > end || end > length || (segment == 1 && begin != sizeof header))
                throw std::invalid_argument("its RLE header has a broken offset");
            decoder.clear();
            // A single byte of padding makes the decoder ask for more, which is no failure; too much output is.
            if (decoder.decompress(const_cast<uint8_t *>(codestream) + begin, end - begin) == EC_CorruptedData || decoder.size() < count)
                throw std::invalid_argument("its RLE segments hold more or less than the frame needs");
            const auto *bytes = static_cast<const uint8_t *>(decoder.getOutputBuffer());
            const unsigned shift = 8 * (segments - segment);
            for (size_t i = 0; i < count; ++i) words[i] = static_cast<uint16_t>(words[i] | bytes[i] << shift);
        }
        return 1;
    });
}
