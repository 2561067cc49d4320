// Numbers in text, as contours have them by the million.
#include "face.hpp"
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

using face::guarded;
using face::object;

namespace {

/// The value field as it stands; false where it is no text. Contour Data longer than an explicit VR's 16-bit length can tell is found
/// as UN in files of careless writers.
bool text(DcmElement *element, const char *&begin, size_t &length) {
    if (element->isaString()) {
        char *value = nullptr;
        Uint32 count = 0;
        if (element->getString(value, count).bad()) return false;
        begin = value;
        length = value == nullptr ? 0 : count;
        return true;
    }
    Uint8 *bytes = nullptr;
    if (element->ident() != EVR_UN || element->getUint8Array(bytes).bad()) return false;
    begin = reinterpret_cast<const char *>(bytes);
    length = bytes == nullptr ? 0 : element->getLength();
    return true;
}

bool isPadding(char c) { return c == ' ' || c == 0; }

} // namespace

int cdcmtk_item_decimals(cdcmtk_item *item, uint16_t group, uint16_t element, double **values, size_t *count) {
    return guarded(nullptr, 0, [&] {
        DcmElement *found = nullptr;
        const char *at = nullptr;
        size_t length = 0;
        if (object(item)->findAndGetElement(DcmTagKey(group, element), found).bad() || !text(found, at, length) || length == 0) return 0;
        const char *const end = at + length;
        std::vector<double> numbers;
        numbers.reserve(length / 6);
        while (true) {
            const char *stop = static_cast<const char *>(memchr(at, '\\', end - at));
            if (stop == nullptr) stop = end;
            const char *last = stop;
            while (at < last && isPadding(*at)) ++at;
            while (last > at && isPadding(last[-1])) --last;
            if (at < last && *at == '+' && last - at > 1 && at[1] != '-') ++at;
            double number = 0;
            const auto parsed = std::from_chars(at, last, number);
            if (parsed.ec != std::errc() || parsed.ptr != last || !std::isfinite(number)) return 0;
            numbers.push_back(number);
            if (stop == end) break;
            at = stop + 1;
        }
        auto *memory = static_cast<double *>(malloc(numbers.size() * sizeof(double)));
        if (memory == nullptr) throw std::bad_alloc();
        memcpy(memory, numbers.data(), numbers.size() * sizeof(double));
        *values = memory;
        *count = numbers.size();
        return 1;
    });
}
