/// The C face of GDCM: one compressed greyscale frame to native samples.
///
/// Only codecs are used. GDCM's parser aborts by assertion, or allocates gigabytes, on files whose lengths lie (one in a
/// hundred mutated files); DCMTK reads the files, and what is handed over here is a codestream and what it must hold.
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
/// Version of the toolkit this face was built with.
const char *cgdcm_version(void);

/// How one frame's samples are stored: part of the Image Pixel module (PS3.3 C.7.6.3).
typedef struct {
    uint32_t columns, rows;
    /// Bits Allocated is 8 or 16.
    uint32_t bits_allocated, bits_stored, high_bit;
    /// Whether samples are two's complement: Pixel Representation (0028,0103).
    int32_t is_signed;
} cgdcm_format;

/// A decoded frame.
typedef struct {
    /// Of the samples in `bytes`; a codec may know better than the data set.
    cgdcm_format format;
    /// Little-endian samples, column fastest, then row; owned by the caller until cgdcm_image_free.
    uint8_t *bytes;
    size_t length;
} cgdcm_image;

/// Decodes one frame's codestream. Never throws.
///
/// Returns 1 and fills `image`, or returns 0 and writes why into `reason`. The codestream's own header must agree with
/// `format` on columns and rows and hold one component, which bounds what is allocated. GDCM's JPEG codec may write a line
/// to standard error.
int cgdcm_decode(const char *transfer_syntax, const cgdcm_format *format, const uint8_t *codestream, size_t length,
                 cgdcm_image *image, char *reason, size_t reason_size);

/// Frees what cgdcm_decode allocated.
void cgdcm_image_free(cgdcm_image *image);
#ifdef __cplusplus
}
#endif
