// What a codestream says of itself, read before a codec believes it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace codestream {

struct Frame {
    uint32_t columns, rows, samples, bits;
};

/// The frame header of a JPEG or JPEG-LS stream (ITU-T T.81 B.2.2, T.87 C.2.2); throws std::invalid_argument.
Frame jpeg(const uint8_t *bytes, size_t length);

/// Whether the first segment is a JFIF header, APP0 (ITU-T T.871).
bool starts_with_jfif(const uint8_t *bytes, size_t length);

/// The SIZ segment of a JPEG 2000 codestream (ITU-T T.800 A.5.1); throws std::invalid_argument.
Frame jpeg2000(const uint8_t *bytes, size_t length);

/// Checks an RLE header (PS3.5 G.5) against the number of segments that the frame needs; throws std::invalid_argument.
void check_rle(const uint8_t *bytes, size_t length, uint32_t segments);

} // namespace codestream
