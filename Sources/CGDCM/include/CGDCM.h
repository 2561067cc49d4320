/// The C face of the codecs of GDCM and OpenJPEG: one compressed greyscale frame to samples. Nothing here throws.
///
/// Only codecs are used. GDCM's parser aborts by assertion, or allocates gigabytes, on files whose lengths lie (one in a
/// hundred mutated files), and so do its JPEG and RLE codecs; DCMTK reads the files, and what is handed over here is a
/// codestream whose own header the caller has held against what the data set says, which bounds what is allocated.
///
/// Each decoder returns 1, or 0 and writes into `reason` why, continuing a sentence about the object.
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
/// Version of GDCM that this face was built with.
const char *cgdcm_version(void);
/// Version of OpenJPEG that is loaded.
const char *cgdcm_openjpeg_version(void);

/// Decodes JPEG-LS (ITU-T T.87), lossless or near-lossless, by GDCM's CharLS.
int cgdcm_decode_jpegls(const uint8_t *codestream, size_t length, uint32_t columns, uint32_t rows, uint32_t precision,
                        uint16_t *words, char *reason, size_t reason_size);

/// Decodes a JPEG 2000 codestream, of part 1 or high throughput (ITU-T T.800, T.814), by OpenJPEG.
///
/// `words` holds the low 16 bits of each sample, negative ones in two's complement.
int cgdcm_decode_jpeg2000(const uint8_t *codestream, size_t length, uint32_t columns, uint32_t rows,
                          uint16_t *words, char *reason, size_t reason_size);
#ifdef __cplusplus
}
#endif
