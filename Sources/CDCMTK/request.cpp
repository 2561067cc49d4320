#include "request.hpp"

namespace {

/// The longest UID (PS3.5 9.1), with the padding that some peers add.
constexpr size_t longestUID = 64;
/// The longest Implementation Version Name (PS3.7 D.3.3.2.3).
constexpr size_t longestVersionName = 16;

/// Bytes that are taken from the front; asking for more than there are makes it broken.
struct Bytes {
    const uint8_t *at;
    size_t left;
    bool broken = false;

    Bytes take(size_t count) {
        if (count > left) return broken = true, Bytes{at, 0, true};
        const Bytes taken = {at, count};
        at += count, left -= count;
        return taken;
    }
    size_t number(size_t count) {
        size_t value = 0;
        const Bytes digits = take(count);
        for (size_t i = 0; i < digits.left; ++i) value = value << 8 | digits.at[i];
        return value;
    }
};

/// Whether there is a UID, as far as its length goes.
bool isUID(Bytes value) { return value.left > 0 && value.left <= longestUID && value.at[0] != 0; }

/// Walks the items that fill some bytes; `check` looks into one by its type.
template <class Check> bool items(Bytes bytes, Check check) {
    while (bytes.left > 0) {
        const size_t type = bytes.number(1);
        bytes.number(1); // reserved
        const Bytes value = bytes.take(bytes.number(2));
        if (bytes.broken || !check(type, value)) return false;
    }
    return true;
}

/// A field after its length of two bytes.
Bytes field(Bytes &bytes) { return bytes.take(bytes.number(2)); }

/// One abstract syntax and at least one transfer syntax.
bool presentationContext(Bytes value) {
    size_t abstractSyntaxes = 0, transferSyntaxes = 0;
    value.take(4); // identifier and three reserved bytes
    const bool fits = !value.broken && items(value, [&](size_t type, Bytes part) {
        abstractSyntaxes += type == 0x30, transferSyntaxes += type == 0x40;
        return (type != 0x30 && type != 0x40) || isUID(part);
    });
    return fits && abstractSyntaxes == 1 && transferSyntaxes > 0;
}

bool userInformation(size_t type, Bytes value) {
    switch (type) {
    case 0x51: case 0x53: return value.left == 4; // maximum length, asynchronous operations window
    case 0x52: return isUID(value);
    case 0x55: return value.left <= longestVersionName;
    case 0x54: // role selection
        return isUID(field(value)) && value.left == 2;
    case 0x56: // SOP class extended negotiation
        return isUID(field(value));
    case 0x57: // SOP class common extended negotiation
        field(value), field(value), field(value);
        return !value.broken;
    case 0x58: { // user identity: name, with passcode, Kerberos, SAML or JWT
        const size_t kind = value.number(1);
        value.take(1), field(value);
        const Bytes passcode = field(value);
        return !value.broken && value.left == 0 && kind >= 1 && kind <= 5 && (kind == 2 || passcode.left == 0);
    }
    case 0x59: return false; // an answer's user identity
    default: return true;
    }
}

} // namespace

bool request::isWhole(const uint8_t *pdu, size_t length) {
    Bytes bytes = {pdu, length};
    bytes.take(2);
    if (bytes.number(4) != bytes.left) return false;
    bytes.take(68); // protocol version, titles, reserved
    size_t identities = 0;
    return !bytes.broken && items(bytes, [&](size_t type, Bytes value) {
        switch (type) {
        case 0x10: return isUID(value);
        case 0x20: return presentationContext(value);
        case 0x21: return false; // an answer's presentation context
        case 0x50:
            return items(value, [&](size_t kind, Bytes item) {
                identities += kind == 0x58;
                return identities <= 1 && userInformation(kind, item);
            });
        default: return true;
        }
    });
}
