// libFuzzer over the data set reader: an input is a Part 10 file. What can be read is read in whole, copied and written again.
#include "../memory_file.hpp"
#include <CDCMTK.h>
#include <algorithm>
#include <utility>
#include <vector>

namespace {

using Tag = std::pair<uint16_t, uint16_t>;

/// Elements of every kind that the node asks for: text, numbers, tags, pixel data.
constexpr Tag values[] = {{0x0008, 0x0005}, {0x0008, 0x0008}, {0x0008, 0x0016}, {0x0008, 0x0018}, {0x0008, 0x0060}, {0x0010, 0x0010}, {0x0010, 0x0020},
                          {0x0010, 0x0030}, {0x0018, 0x0050}, {0x0018, 0x5100}, {0x0020, 0x000D}, {0x0020, 0x000E}, {0x0020, 0x0013}, {0x0020, 0x0032},
                          {0x0020, 0x0037}, {0x0020, 0x0052}, {0x0020, 0x9157}, {0x0028, 0x0002}, {0x0028, 0x0008}, {0x0028, 0x0009}, {0x0028, 0x0010},
                          {0x0028, 0x0011}, {0x0028, 0x0030}, {0x0028, 0x0100}, {0x0028, 0x0120}, {0x0028, 0x1052}, {0x0028, 0x1053}, {0x0028, 0x2110},
                          {0x3006, 0x0050}, {0x3006, 0x002A}, {0x7FE0, 0x0010}};
constexpr Tag sequences[] = {{0x0008, 0x1140}, {0x0008, 0x2112}, {0x0020, 0x9111}, {0x0020, 0x9113}, {0x0020, 0x9116}, {0x0028, 0x3000}, {0x0028, 0x9110},
                             {0x0040, 0x0275}, {0x3006, 0x0039}, {0x3006, 0x0040}, {0x5200, 0x9229}, {0x5200, 0x9230}};

/// Reads every byte of what a call gave, so that the sanitizer sees a length that lies.
void touch(const void *memory, size_t bytes) {
    static volatile uint8_t sink;
    for (size_t i = 0; i < bytes; ++i) sink = sink ^ static_cast<const uint8_t *>(memory)[i];
}

void read(cdcmtk_file *file, cdcmtk_item *item, int depth) {
    for (const auto &[group, element] : values) {
        char *text = nullptr;
        double *numbers = nullptr;
        uint32_t *tags = nullptr;
        const uint8_t *bytes = nullptr;
        uint32_t *fragments = nullptr;
        size_t count = 0;
        if (cdcmtk_item_text(file, item, group, element, &text, &count)) touch(text, count), cdcmtk_free(text);
        if (cdcmtk_item_numbers(item, group, element, &numbers, &count)) touch(numbers, count * sizeof *numbers), cdcmtk_free(numbers);
        if (cdcmtk_item_tags(item, group, element, &tags, &count)) touch(tags, count * sizeof *tags), cdcmtk_free(tags);
        if (cdcmtk_item_bytes(item, group, element, &bytes, &count)) touch(bytes, count);
        // Pixel data as PixelData.swift reads them: a part, or a fragment, into memory of the length that was told.
        if (cdcmtk_item_length(item, group, element, &count)) {
            std::vector<uint8_t> part(std::min<size_t>(count, 1 << 16));
            if (cdcmtk_item_part(item, group, element, count - part.size(), part.data(), part.size())) touch(part.data(), part.size());
        }
        if (cdcmtk_item_fragments(item, group, element, &fragments, &count)) {
            for (size_t i = 0; i < count && i < 16; ++i) {
                std::vector<uint8_t> part(std::min<size_t>(fragments[i], 1 << 16));
                if (cdcmtk_item_fragment(item, group, element, i, part.data(), part.size())) touch(part.data(), part.size());
            }
            cdcmtk_free(fragments);
        }
    }
    if (depth == 6) return;
    for (const auto &[group, element] : sequences) {
        cdcmtk_item **items = nullptr;
        size_t count = 0;
        if (!cdcmtk_item_items(item, group, element, &items, &count)) continue;
        for (size_t i = 0; i < count && i < 16; ++i) read(file, items[i], depth + 1);
        cdcmtk_free(items);
    }
}

void copy(cdcmtk_item *source) {
    cdcmtk_error error = {};
    cdcmtk_file *made = cdcmtk_file_create(&error);
    for (const auto &[group, element] : values) cdcmtk_item_copy(made, cdcmtk_file_dataset(made), source, group, element, &error);
    for (const auto &[group, element] : sequences) cdcmtk_item_copy(made, cdcmtk_file_dataset(made), source, group, element, &error);
    cdcmtk_file_free(made);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    static MemoryFile in, out;
    in.fill(bytes, count);
    size_t end = 0;
    // The header alone, as at receipt; then all of it, as in the worker.
    for (const int stops : {1, 0}) {
        cdcmtk_error error = {};
        cdcmtk_file *file = cdcmtk_file_load(in.path.c_str(), stops, 0x7FE0, 0x0010, &end, &error);
        if (file == nullptr) {
            if (error.code == 0 || error.message[0] == 0) abort(); // refused without a reason
            continue;
        }
        char syntax[65] = {};
        cdcmtk_file_transfer_syntax(file, syntax);
        read(file, cdcmtk_file_dataset(file), 0);
        copy(cdcmtk_file_dataset(file));
        if (!stops) cdcmtk_file_save(file, out.path.c_str(), "1.2.840.10008.1.2.1", "1.2.3", "FUZZ", nullptr, nullptr, &error);
        cdcmtk_file_free(file);
    }
    // From memory, as the receiver reads a header and a service its data set.
    if (cdcmtk_file *file = cdcmtk_file_load_start(bytes, count, 0x7FE0, 0x0010, &end)) {
        read(file, cdcmtk_file_dataset(file), 0);
        cdcmtk_file_free(file);
    }
    const size_t header = count < 132 ? 0 : 132;
    for (const char *syntax : {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}) {
        cdcmtk_error error = {};
        cdcmtk_file *file = cdcmtk_file_decode(bytes + header, count - header, syntax, &error);
        if (file == nullptr) continue;
        read(file, cdcmtk_file_dataset(file), 0);
        cdcmtk_file_free(file);
    }
    return 0;
}
