#include "codestream.hpp"
#include <stdexcept>

namespace {

/// `count` bytes as a big-endian number.
uint32_t big(const std::vector<uint8_t> &stream, size_t at, size_t count) {
    if (at > stream.size() || stream.size() - at < count) throw std::invalid_argument("its codestream is truncated");
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value << 8 | stream[at + i];
    return value;
}

uint32_t little32(const std::vector<uint8_t> &stream, size_t at) { return __builtin_bswap32(big(stream, at, 4)); }

bool is_frame_header(uint32_t marker) {
    return (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) || marker == 0xF7;
}

/// DHT, DAC, DQT, DRI, COM, LSE: what may stand beside a frame header and before a scan.
bool is_table_or_comment(uint32_t marker) {
    return marker == 0xC4 || marker == 0xCC || marker == 0xDB || marker == 0xDD || marker == 0xFE || marker == 0xF8;
}

} // namespace

codestream::Frame codestream::jpeg(std::vector<uint8_t> &stream) {
    if (big(stream, 0, 2) != 0xFFD8) throw std::invalid_argument("its codestream is no JPEG");
    Frame frame = {};
    for (size_t at = 2;;) {
        const uint32_t marker = big(stream, at + 1, 1);
        if (big(stream, at, 1) != 0xFF) throw std::invalid_argument("its codestream has a broken marker");
        if (marker == 0xFF) { ++at; continue; }  // fill byte
        const uint32_t length = big(stream, at + 2, 2);
        if (is_frame_header(marker)) frame = {big(stream, at + 7, 2), big(stream, at + 5, 2), big(stream, at + 9, 1), big(stream, at + 4, 1)};
        else if (marker == 0xDA) break;
        else if (marker >= 0xE0 && marker <= 0xEF) stream[at + 1] = 0xFE;
        else if (!is_table_or_comment(marker)) throw std::invalid_argument("its codestream has a marker out of place");
        if (length < 2) throw std::invalid_argument("its codestream has a broken segment");
        at += 2 + length;
    }
    if (frame.rows == 0) throw std::invalid_argument("its codestream has no frame header");
    return frame;
}

codestream::Frame codestream::jpeg2000(const std::vector<uint8_t> &stream) {
    if (big(stream, 0, 4) != 0xFF4FFF51) throw std::invalid_argument("its codestream is no JPEG 2000");
    const uint32_t x1 = big(stream, 8, 4), y1 = big(stream, 12, 4), x0 = big(stream, 16, 4), y0 = big(stream, 20, 4);
    const uint32_t tile_width = big(stream, 24, 4), tile_height = big(stream, 28, 4);
    if (x0 >= x1 || y0 >= y1 || tile_width == 0 || tile_height == 0) throw std::invalid_argument("its codestream is empty");
    // Every tile costs the codec memory before it is decoded; real CT has one to some hundred.
    if ((uint64_t(x1) / tile_width + 1) * (uint64_t(y1) / tile_height + 1) > 4096) throw std::invalid_argument("its codestream claims too many tiles");
    if (big(stream, 43, 2) != 0x0101) throw std::invalid_argument("its codestream is subsampled");
    return {x1 - x0, y1 - y0, big(stream, 40, 2), (big(stream, 42, 1) & 0x7F) + 1};
}

void codestream::check_rle(const std::vector<uint8_t> &stream, uint32_t segments) {
    if (little32(stream, 0) != segments) throw std::invalid_argument("its RLE header has another number of segments than the frame needs");
    size_t last = 64;
    for (uint32_t segment = 0; segment < segments; ++segment) {
        const size_t offset = little32(stream, 4 + 4 * segment);
        if (offset < last || offset >= stream.size() || (segment == 0 && offset != 64)) throw std::invalid_argument("its RLE header has a broken offset");
        last = offset;
    }
}
