// libFuzzer over the codecs of compressed pixels: an input is the number of a family, then one frame's codestream.
//
// The codecs may rely on what FramePixels.swift checked before: columns, rows, components and precision of the codestream's own
// header. The few lines that do so here stand for it; Tests/Fuzz/series drives the real ones.
#include <CDCMTKCodecs.h>
#include <CGDCM.h>
#include <cstdlib>
#include <vector>

namespace {

struct Header {
    uint32_t columns = 0, rows = 0, components = 0, precision = 0;
};

uint32_t big(const uint8_t *stream, size_t length, size_t at, size_t count) {
    uint32_t value = 0;
    for (size_t i = at; i < at + count; ++i) value = value << 8 | (i < length ? stream[i] : 0);
    return value;
}

/// The frame header (ITU-T T.81 B.2.2, T.87 C.2.2); empty where there is none.
Header jpeg(const uint8_t *stream, size_t length) {
    for (size_t at = 2; at + 9 < length;) {
        const uint32_t marker = big(stream, length, at + 1, 1), segment = big(stream, length, at + 2, 2);
        if (stream[at] != 0xFF || marker == 0xDA || (marker != 0xFF && segment < 2)) break;
        if (marker == 0xF7 || (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC))
            return {big(stream, length, at + 7, 2), big(stream, length, at + 5, 2), big(stream, length, at + 9, 1), big(stream, length, at + 4, 1)};
        at += marker == 0xFF ? 1 : 2 + segment;
    }
    return {};
}

/// The SIZ segment (ITU-T T.800 A.5.1).
Header jpeg2000(const uint8_t *stream, size_t length) {
    const auto field = [&](size_t at) { return big(stream, length, at, 4); };
    if (length < 47 || field(0) != 0xFF4FFF51 || field(16) >= field(8) || field(20) >= field(12) || field(24) == 0 || field(28) == 0) return {};
    const uint64_t across = field(8) / field(24) + 1ull, down = field(12) / field(28) + 1ull;
    if (across > 4096 || down > 4096 || across * down > 4096 || big(stream, length, 43, 2) != 0x0101) return {};
    return {field(8) - field(16), field(12) - field(20), big(stream, length, 40, 2), (big(stream, length, 42, 1) & 0x7F) + 1};
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    if (count < 2) return -1;
    const int family = bytes[0] % 5; // RLE of 8 and 16 bits, JPEG, JPEG-LS, JPEG 2000: the order in seeds.py
    const uint8_t *stream = bytes + 1;
    const size_t length = count - 1;
    Header header = {16, 16, 1, 16}; // RLE says nothing of itself
    if (family == 2 || family == 3) header = jpeg(stream, length);
    if (family == 4) header = jpeg2000(stream, length);
    if (header.components != 1 || header.precision < 1 || header.precision > 16 || header.columns == 0 || header.rows == 0) return -1;
    const size_t samples = size_t(header.columns) * header.rows;
    if (samples > 1 << 20) return -1; // for speed: a data set may say as much

    std::vector<uint16_t> words(samples);
    cdcmtk_error error = {};
    char reason[200] = {};
    int result = 0;
    switch (family) {
    case 0: case 1: result = cdcmtk_decode_rle(stream, length, family + 1, words.data(), samples, &error); break;
    case 2: result = cdcmtk_decode_jpeg(stream, length, header.precision, words.data(), samples, &error); break;
    case 3: result = cgdcm_decode_jpegls(stream, length, header.columns, header.rows, header.precision, words.data(), reason, sizeof reason); break;
    case 4: result = cgdcm_decode_jpeg2000(stream, length, header.columns, header.rows, words.data(), reason, sizeof reason); break;
    }
    if (result == 0 && error.message[0] == 0 && reason[0] == 0) abort(); // refused without a reason
    return 0;
}
