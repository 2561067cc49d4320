// What a codestream says of itself, read before a codec believes it. All of these throw std::invalid_argument.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace codestream {

struct Frame {
    uint32_t columns, rows, components, bits;
};

/// The frame header of a JPEG or JPEG-LS stream (ITU-T T.81 B.2.2, T.87 C.2.2).
///
/// Walks all segments up to the first scan: GDCM aborts when there is anything between them. Turns application segments,
/// which mean nothing for greyscale, into comments: GDCM aborts when it finds one odd.
Frame jpeg(std::vector<uint8_t> &stream);

/// The SIZ segment of a JPEG 2000 codestream (ITU-T T.800 A.5.1).
Frame jpeg2000(const std::vector<uint8_t> &stream);

/// Checks an RLE header (PS3.5 G.5) against the number of segments that the frame needs.
void check_rle(const std::vector<uint8_t> &stream, uint32_t segments);

} // namespace codestream
