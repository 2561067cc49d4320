#include "codestream.hpp"
#include <stdexcept>

namespace {

struct Bytes {
    const uint8_t *bytes;
    size_t length;

    uint32_t big(size_t at, size_t count) const {
        if (at > length || length - at < count) throw std::invalid_argument("the codestream is truncated");
        uint32_t value = 0;
        for (size_t i = 0; i < count; ++i) value = value << 8 | bytes[at + i];
        return value;
    }
    uint32_t little32(size_t at) const { return __builtin_bswap32(big(at, 4)); }
};

} // namespace

codestream::Frame codestream::jpeg(const uint8_t *bytes, size_t length) {
    const Bytes stream{bytes, length};
    if (stream.big(0, 2) != 0xFFD8) throw std::invalid_argument("the codestream is no JPEG");
    size_t at = 2;
    for (;;) {
        if (stream.big(at, 1) != 0xFF) throw std::invalid_argument("the codestream has a broken marker");
        const uint32_t marker = stream.big(at + 1, 1);
        if (marker == 0xFF) { ++at; continue; }  // fill byte
        const bool is_frame = (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) || marker == 0xF7;
        if (is_frame) return {stream.big(at + 7, 2), stream.big(at + 5, 2), stream.big(at + 9, 1), stream.big(at + 4, 1)};
        if (marker == 0xDA || marker == 0xD9) throw std::invalid_argument("the codestream has no frame header");
        at += 2 + stream.big(at + 2, 2);
    }
}

bool codestream::starts_with_jfif(const uint8_t *bytes, size_t length) {
    return length >= 4 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF && bytes[3] == 0xE0;
}

codestream::Frame codestream::jpeg2000(const uint8_t *bytes, size_t length) {
    const Bytes stream{bytes, length};
    if (stream.big(0, 4) != 0xFF4FFF51) throw std::invalid_argument("the codestream is no JPEG 2000");
    const uint32_t x1 = stream.big(8, 4), y1 = stream.big(12, 4), x0 = stream.big(16, 4), y0 = stream.big(20, 4);
    const uint32_t tile_width = stream.big(24, 4), tile_height = stream.big(28, 4), samples = stream.big(40, 2);
    if (x0 >= x1 || y0 >= y1 || tile_width == 0 || tile_height == 0) throw std::invalid_argument("the codestream is empty");
    // Every tile costs the codec memory before it is decoded; real CT has one to some hundred.
    const uint64_t tiles = (uint64_t(x1) / tile_width + 1) * (uint64_t(y1) / tile_height + 1);
    if (tiles > 4096) throw std::invalid_argument("the codestream claims too many tiles");
    for (uint32_t sample = 0; sample < samples; ++sample)
        if (stream.big(43 + 3 * sample, 2) != 0x0101) throw std::invalid_argument("the codestream's samples are subsampled");
    return {x1 - x0, y1 - y0, samples, (stream.big(42, 1) & 0x7F) + 1};
}

void codestream::check_rle(const uint8_t *bytes, size_t length, uint32_t segments) {
    const Bytes stream{bytes, length};
    if (stream.little32(0) != segments || segments > 15) throw std::invalid_argument("the RLE header has another number of segments than the frame needs");
    size_t last = 64;
    for (uint32_t segment = 0; segment < segments; ++segment) {
        const size_t offset = stream.little32(4 + 4 * segment);
        if (offset < last || offset >= length || (segment == 0 && offset != 64)) throw std::invalid_argument("the RLE header has a broken offset");
        last = offset;
    }
}
