#include "face.hpp"
#include <algorithm>
#include <cstring>
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

/// Puts the samples' bytes that one segment packs (PS3.5 G.3.1) into words; false where it holds more or less than `count`.
///
/// Not by the toolkit's decoder, which fills a buffer of its own byte by byte, takes two and a half times as long, and makes a run of the
/// code that means nothing (PS3.5 G.3.2). As lenient: some encoders pad with a run of zeros, and a segment of even length may end in a
/// byte that begins nothing.
bool unpack(const uint8_t *in, const uint8_t *end, unsigned shift, uint16_t *words, size_t count) {
    constexpr size_t padding = 2;
    size_t at = 0;
    while (in < end) {
        const unsigned code = *in++;
        if (code == 128) continue;
        const bool isRun = code > 128;
        if (isRun && in == end) break;
        const size_t stated = isRun ? 257 - code : code + 1, length = isRun ? stated : std::min(stated, static_cast<size_t>(end - in));
        if (at + length > count + padding) return false;
        const size_t kept = std::min(length, count - std::min(at, count));
        if (isRun) {
            const auto value = static_cast<uint16_t>(*in++ << shift);
            for (size_t i = 0; i < kept; ++i) words[at + i] |= value;
        } else {
            for (size_t i = 0; i < kept; ++i) words[at + i] |= static_cast<uint16_t>(in[i] << shift);
            in += length;
        }
        at += length;
    }
    return at >= count;
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
        for (uint32_t segment = 1; segment <= segments; ++segment) {  // most significant byte first
            const size_t begin = header[segment], end = header[segment + 1];
            if (begin < sizeof header || begin > end || end > length || (segment == 1 && begin != sizeof header))
                throw std::invalid_argument("its RLE header has a broken offset");
            if (!unpack(codestream + begin, codestream + end, 8 * (segments - segment), words, count))
                throw std::invalid_argument("its RLE segments hold more or less than the frame needs");
        }
        return 1;
    });
}
