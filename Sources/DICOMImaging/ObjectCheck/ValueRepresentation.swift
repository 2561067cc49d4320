import Foundation

/// Value representations as two letters, the first in the high byte, and what their values may be (PS3.5 table 6.2-1).
enum VR {
    static let sq = code("SQ"), un = code("UN"), ow = code("OW"), ds = code("DS")

    static func code(_ letters: StaticString) -> UInt16 { UInt16(letters.utf8Start[0]) << 8 | UInt16(letters.utf8Start[1]) }

    static func name(_ vr: UInt16) -> String {
        isKnown(vr) ? String(decoding: [UInt8(vr >> 8), UInt8(vr & 0xFF)], as: UTF8.self) : "unknown"
    }

    /// Those with a length of 32 bits in explicit VR (PS3.5 7.1.2).
    private static let long: Set<UInt16> = [
        code("OB"), code("OD"), code("OF"), code("OL"), code("OV"), ow, sq, code("SV"), code("UC"), un, code("UR"), code("UT"), code("UV"),
    ]
    static func isLong(_ vr: UInt16) -> Bool { vr >> 8 >= 0x4F && long.contains(vr) }

    private struct Text {
        /// Characters of one value.
        let longest: Int
        var isSingle = false
        let isAllowed: @Sendable (UInt8) -> Bool
    }

    private static let texts: [UInt16: Text] = {
        // Own text is ASCII; what is copied may be in any character set: its bytes are not judged, control characters are.
        let words: @Sendable (UInt8) -> Bool = { $0 >= 0x20 || $0 == 0x1B }, lines: @Sendable (UInt8) -> Bool = { $0 >= 0x20 || [0x09, 0x0A, 0x0C, 0x0D, 0x1B].contains($0) }
        func of(_ characters: String) -> @Sendable (UInt8) -> Bool {
            let allowed = Set(characters.utf8)
            return { allowed.contains($0) }
        }
        let digits = "0123456789", any = Int.max
        return [
            code("AE"): Text(longest: 16, isAllowed: words), code("AS"): Text(longest: 4, isAllowed: of(digits + "DWMY")),
            code("CS"): Text(longest: 16, isAllowed: of("ABCDEFGHIJKLMNOPQRSTUVWXYZ _" + digits)), code("DA"): Text(longest: 8, isAllowed: of(digits)),
            ds: Text(longest: 16, isAllowed: of(digits + "+-eE. ")), code("DT"): Text(longest: 26, isAllowed: of(digits + "+-. ")),
            code("IS"): Text(longest: 12, isAllowed: of(digits + "+- ")), code("LO"): Text(longest: 64, isAllowed: words),
            code("LT"): Text(longest: 10240, isSingle: true, isAllowed: lines), code("PN"): Text(longest: 194, isAllowed: words),
            code("SH"): Text(longest: 16, isAllowed: words), code("ST"): Text(longest: 1024, isSingle: true, isAllowed: lines),
            code("TM"): Text(longest: 14, isAllowed: of(digits + ". ")), code("UC"): Text(longest: any, isAllowed: words),
            code("UI"): Text(longest: 64, isAllowed: of(digits + ".")), code("UR"): Text(longest: any, isSingle: true, isAllowed: words),
            code("UT"): Text(longest: any, isSingle: true, isAllowed: lines),
        ]
    }()

    private static let sizes: [UInt16: Int] = [
        code("US"): 2, code("SS"): 2, ow: 2, code("UL"): 4, code("SL"): 4, code("AT"): 4, code("FL"): 4, code("OF"): 4, code("OL"): 4,
        code("FD"): 8, code("OD"): 8, code("OV"): 8, code("SV"): 8, code("UV"): 8, code("OB"): 1, sq: 1, un: 1,
    ]

    static func isKnown(_ vr: UInt16) -> Bool { sizes[vr] != nil || texts[vr] != nil }

    /// What is wrong with a value field, in words that continue its element's name; nil when nothing is.
    static func fault(_ vr: UInt16, _ bytes: UnsafeRawBufferPointer) -> String? {
        guard !bytes.isEmpty else { return nil }
        if vr == ds { return Decimals.fault(bytes) }
        if let size = sizes[vr] { return bytes.count % size == 0 ? nil : "has a length that its VR cannot have" }
        guard let text = texts[vr] else { return nil }
        // Padding makes the length even: one byte, a NUL for UIDs.
        let end = bytes[bytes.count - 1] == (vr == code("UI") ? 0 : 0x20) ? bytes.count - 1 : bytes.count
        var length = 0
        for n in 0..<end {
            let byte = bytes[n]
            if byte == 0x5C, !text.isSingle { length = 0; continue }
            guard text.isAllowed(byte) else { return "holds a character that its VR does not allow" }
            // A character of several bytes in UTF-8 counts once.
            if byte & 0xC0 != 0x80 { length += 1 }
            if length > text.longest { return "holds a value of more than \(text.longest) characters" }
        }
        return vr == code("UI") ? UIDs.fault(bytes[..<end]) : nil
    }
}

private enum UIDs {
    /// PS3.5 9.1.
    static func fault(_ bytes: Slice<UnsafeRawBufferPointer>) -> String? {
        for uid in bytes.split(separator: 0x5C, omittingEmptySubsequences: false) {
            for part in uid.split(separator: 0x2E, omittingEmptySubsequences: false) where part.isEmpty || part.count > 1 && part.first == 0x30 {
                return "holds a UID with a component that is empty or begins with zero"
            }
        }
        return nil
    }
}

/// Decimal strings: millions of them in a structure set, so that they are read in one pass without copies.
enum Decimals {
    /// The most characters of a DS (PS3.5 6.2).
    static let longest = 16

    static func fault(_ bytes: UnsafeRawBufferPointer) -> String? {
        var reason: String?
        each(bytes) { value, length in
            if length > longest { reason = "holds a value of more than \(longest) characters" }
            else if value == nil, length > 0 { reason = "holds a value that is no number" }
            return reason == nil
        }
        return reason
    }

    /// All values; nil when one is no number or there is none.
    static func parse(_ bytes: UnsafeRawBufferPointer) -> [Double]? {
        var values: [Double] = []
        var isSound = true
        each(bytes) { value, _ in
            if let value { values.append(value) } else { isSound = false }
            return isSound
        }
        return isSound ? values : nil
    }

    /// Calls with each value, nil for one that is no number, and its length with padding, until it returns false.
    private static func each(_ bytes: UnsafeRawBufferPointer, _ body: (Double?, Int) -> Bool) {
        let end = bytes.count
        var start = 0
        while start <= end {
            var at = start
            while at < end, bytes[at] != 0x5C { at &+= 1 }
            var high = at, low = start
            // The value field's own padding belongs to no value.
            if at == end, high > low, bytes[high &- 1] == 0x20 { high &-= 1 }
            let length = high &- low
            while high > low, bytes[high &- 1] == 0x20 { high &-= 1 }
            while low < high, bytes[low] == 0x20 { low &+= 1 }
            guard body(number(bytes, low, high), length) else { return }
            start = at &+ 1
        }
    }

    private static let powers: [Double] = (0...22).map { pow(10, Double($0)) }

    private static func number(_ bytes: UnsafeRawBufferPointer, _ low: Int, _ high: Int) -> Double? {
        var at = low, mantissa = 0, digits = 0, scale = 0, isNegative = false
        if at < high, bytes[at] == 0x2D || bytes[at] == 0x2B { isNegative = bytes[at] == 0x2D; at &+= 1 }
        var hasPoint = false
        while at < high {
            let byte = bytes[at]
            if byte >= 0x30, byte <= 0x39 {
                guard digits < 18 else { return Double(String(decoding: bytes[low..<high], as: UTF8.self)) }
                mantissa = mantissa &* 10 &+ Int(byte &- 0x30)
                digits &+= 1
                if hasPoint { scale &+= 1 }
            } else if byte == 0x2E, !hasPoint {
                hasPoint = true
            } else {
                // An exponent, or no number: rare enough for the library.
                return Double(String(decoding: bytes[low..<high], as: UTF8.self)).flatMap { $0.isFinite ? $0 : nil }
            }
            at &+= 1
        }
        guard digits > 0 else { return nil }
        let value = Double(mantissa) / powers[scale]
        return isNegative ? -value : value
    }
}
