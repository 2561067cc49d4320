#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum {
    CDCMTK_CANNOT_READ = 1,  // no such file, not a Part 10 file, or broken
    CDCMTK_CANNOT_WRITE = 2, // disk, permissions, or a data set that the encoding cannot hold
    CDCMTK_INVALID = 3,      // a value, tag or VR that PS3.5 does not allow
    CDCMTK_INTERNAL = 4,     // out of memory, or an exception of the toolkit
};

/// Why a call failed. The message holds no value of any element.
typedef struct cdcmtk_error {
    int code;
    char message[400];
} cdcmtk_error;

/// Version of the toolkit this face was built with.
const char *cdcmtk_version(void);
/// Whether the data dictionary was found; without it elements have no VR.
int cdcmtk_dictionary_loaded(void);
/// Lets threads that begin later share two heaps (M_ARENA_MAX).
void cdcmtk_share_heaps(void);
/// The VR of a tag in the dictionary, two letters and a NUL; 0 when unknown or ambiguous.
int cdcmtk_tag_vr(uint16_t group, uint16_t element, char vr[3]);
/// The keyword of a tag in the dictionary, cut to the buffer; "Unknown Tag & Data" when it is not there.
void cdcmtk_tag_name(uint16_t group, uint16_t element, char *name, size_t size);
/// Frees what a call of this face allocated for its caller.
void cdcmtk_free(void *memory);

/// A file format: meta information, data set, and the sequences taken out of it that somebody may still hold.
typedef struct cdcmtk_file cdcmtk_file;
/// A data set or a sequence item; lives as long as its file.
typedef struct cdcmtk_item cdcmtk_item;

cdcmtk_file *cdcmtk_file_create(cdcmtk_error *error);
/// Reads a Part 10 file; with has_stop, stops behind the tag, VR and length of the first element of the data set at or above
/// (group, element), and `end` is where in the file that was (in inflated bytes, where it is deflated).
cdcmtk_file *cdcmtk_file_load(const char *path, int has_stop, uint16_t group, uint16_t element, size_t *end, cdcmtk_error *error);
/// The same from the first bytes of a file; NULL when they do not reach to the tag, or cannot be read at all.
cdcmtk_file *cdcmtk_file_load_start(const uint8_t *bytes, size_t count, uint16_t group, uint16_t element, size_t *end);
/// Reads a data set without meta information, in an uncompressed transfer syntax, from memory that may go afterwards.
cdcmtk_file *cdcmtk_file_decode(const uint8_t *bytes, size_t count, const char *transfer_syntax, cdcmtk_error *error);
/// Writes the data set alone, in an uncompressed transfer syntax. Free the bytes with cdcmtk_free.
int cdcmtk_file_encode(cdcmtk_file *file, const char *transfer_syntax, uint8_t **bytes, size_t *count, cdcmtk_error *error);
void cdcmtk_file_free(cdcmtk_file *file);
cdcmtk_item *cdcmtk_file_dataset(cdcmtk_file *file);
/// The transfer syntax UID of the file meta information; 0 when there is none.
int cdcmtk_file_transfer_syntax(cdcmtk_file *file, char uid[65]);
/// A file that is being written.
typedef struct cdcmtk_output cdcmtk_output;
void cdcmtk_output_append(cdcmtk_output *output, const uint8_t *bytes, size_t count);
/// Appends what follows the data set's last element.
typedef void (*cdcmtk_tail)(void *context, cdcmtk_output *output);
/// Writes a Part 10 file with new meta information, and its tail where there is one; removes what was written when it fails.
int cdcmtk_file_save(cdcmtk_file *file, const char *path, const char *transfer_syntax, const char *implementation_class,
                     const char *implementation_version, cdcmtk_tail tail, void *context, cdcmtk_error *error);

int cdcmtk_item_contains(cdcmtk_item *item, uint16_t group, uint16_t element);
/// The whole value as UTF-8, values separated by backslashes; 0 when absent or binary. Free with cdcmtk_free.
int cdcmtk_item_text(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element, char **text, size_t *length);
/// All values of US, SS, UL, SL, FL, FD; 0 when absent or of another VR. Free with cdcmtk_free.
int cdcmtk_item_numbers(cdcmtk_item *item, uint16_t group, uint16_t element, double **values, size_t *count);
/// All values of a text element that holds numbers; 0 when absent, empty, binary, or when one is no finite number. Free with cdcmtk_free.
int cdcmtk_item_decimals(cdcmtk_item *item, uint16_t group, uint16_t element, double **values, size_t *count);
/// All values of AT as (group << 16 | element). Free with cdcmtk_free.
int cdcmtk_item_tags(cdcmtk_item *item, uint16_t group, uint16_t element, uint32_t **values, size_t *count);
/// The value field of OB, OW, UN and the like in native byte order; owned by the element: copy at once.
int cdcmtk_item_bytes(cdcmtk_item *item, uint16_t group, uint16_t element, const uint8_t **bytes, size_t *count);
/// The bytes of a binary value field; 0 when absent or encapsulated.
int cdcmtk_item_length(cdcmtk_item *item, uint16_t group, uint16_t element, size_t *length);
/// Copies a part of a binary value field, words in little endian, without keeping it; 0 when it cannot be read.
int cdcmtk_item_part(cdcmtk_item *item, uint16_t group, uint16_t element, size_t offset, uint8_t *bytes, size_t count);
/// The length of each fragment of encapsulated pixel data, the offset table's first; 0 when there is none. Free with cdcmtk_free.
int cdcmtk_item_fragments(cdcmtk_item *item, uint16_t group, uint16_t element, uint32_t **lengths, size_t *count);
/// Copies the first bytes of a fragment, the offset table being number 0, without keeping it; 0 when it cannot be read.
int cdcmtk_item_fragment(cdcmtk_item *item, uint16_t group, uint16_t element, size_t index, uint8_t *bytes, size_t count);
/// The items of a sequence. Free the array with cdcmtk_free.
int cdcmtk_item_items(cdcmtk_item *item, uint16_t group, uint16_t element, cdcmtk_item ***items, size_t *count);

/// Sets a text VR, values separated by backslashes; an empty text makes an empty element of any VR.
int cdcmtk_item_set_text(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element, const char *text,
                         size_t length, cdcmtk_error *error);
/// Sets DS (16 characters at most, shortest that reads back equal where that fits), IS, US, SS, UL, SL, FL or FD.
int cdcmtk_item_set_numbers(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element, const double *values,
                            size_t count, cdcmtk_error *error);
int cdcmtk_item_set_tags(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element, const uint32_t *values,
                         size_t count, cdcmtk_error *error);
int cdcmtk_item_set_bytes(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element, const uint8_t *bytes,
                          size_t count, cdcmtk_error *error);
cdcmtk_item *cdcmtk_item_add_item(cdcmtk_item *item, uint16_t group, uint16_t element, cdcmtk_error *error);
/// Copies the whole element; does nothing when it is absent in the source.
int cdcmtk_item_copy(cdcmtk_file *file, cdcmtk_item *item, cdcmtk_item *source, uint16_t group, uint16_t element,
                     cdcmtk_error *error);
void cdcmtk_item_remove(cdcmtk_file *file, cdcmtk_item *item, uint16_t group, uint16_t element);

#ifdef __cplusplus
}
#endif
