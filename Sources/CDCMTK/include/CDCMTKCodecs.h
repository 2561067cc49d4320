/// The toolkit's decoders of one greyscale frame: codestream in, samples out. Neither throws.
///
/// Both return 1, or 0 with the error's message continuing a sentence about the object. `count` is columns x rows, which the
/// caller has held against the codestream's own header; no more is written.
#pragma once
#include "CDCMTKDataSet.h"
#ifdef __cplusplus
extern "C" {
#endif
/// ITU-T T.81, any process, one component of at most 16 bits: `precision` is that of its frame header. Fails on truncated data and
/// on data that the library would only warn of.
int cdcmtk_decode_jpeg(const uint8_t *codestream, size_t length, uint32_t precision, uint16_t *words, size_t count, cdcmtk_error *error);
/// PS3.5 annex G, of 1 or 2 segments, which are the bytes of a sample.
int cdcmtk_decode_rle(const uint8_t *codestream, size_t length, uint32_t segments, uint16_t *words, size_t count, cdcmtk_error *error);
#ifdef __cplusplus
}
#endif
