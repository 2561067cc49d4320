import DICOMCore

/// The command set of a DIMSE message (PS3.7 6.3.1): elements of group 0000 in Implicit VR Little Endian, by element number.
struct CommandSet: Equatable, Sendable {
    /// The elements that this node reads or writes (PS3.7 annex E.1).
    enum Element: UInt16 {
        case groupLength = 0x0000, affectedSOPClassUID = 0x0002, requestedSOPClassUID = 0x0003, commandField = 0x0100
        case messageID = 0x0110, messageIDBeingRespondedTo = 0x0120, priority = 0x0700, dataSetType = 0x0800
        case status = 0x0900, errorComment = 0x0902, errorID = 0x0903
        case affectedSOPInstanceUID = 0x1000, requestedSOPInstanceUID = 0x1001, eventTypeID = 0x1002, actionTypeID = 0x1008
    }

    /// Commands (PS3.7 E.1); a response has the highest bit set.
    enum Field {
        static let cFind: UInt16 = 0x0020, nEventReport: UInt16 = 0x0100, response: UInt16 = 0x8000
        static let mediumPriority: UInt16 = 0, noDataSet: UInt16 = 0x0101, dataSet: UInt16 = 0x0001
    }

    private var values: [UInt16: [UInt8]] = [:]

    init() {}

    /// Takes a command set apart; nil when it is none.
    init?(_ bytes: [UInt8]) {
        var at = 0
        func number(_ count: Int) -> Int { (0..<count).reversed().reduce(0) { $0 << 8 | Int(bytes[at + $1]) } }
        while at < bytes.count {
            guard bytes.count - at >= 8, number(2) == 0 else { return nil }
            at += 2
            let element = UInt16(number(2))
            at += 2
            let length = number(4)
            at += 4
            guard length <= bytes.count - at else { return nil }
            values[element] = Array(bytes[at..<at + length])
            at += length
        }
        values[Element.groupLength.rawValue] = nil
    }

    /// The command set as bytes, with its group length.
    var encoded: [UInt8] {
        func little(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        var elements: [UInt8] = []
        for (element, value) in values.sorted(by: { $0.key < $1.key }) {
            elements += little(0, 2) + little(Int(element), 2) + little(value.count, 4) + value
        }
        return [0, 0, 0, 0, 4, 0, 0, 0] + little(elements.count, 4) + elements
    }

    /// A US element.
    subscript(_ element: Element) -> UInt16? {
        get {
            guard let value = values[element.rawValue], value.count == 2 else { return nil }
            return UInt16(value[0]) | UInt16(value[1]) << 8
        }
        set { values[element.rawValue] = newValue.map { [UInt8($0 & 0xFF), UInt8($0 >> 8)] } }
    }

    /// The text of an element without its padding; nil when absent or empty.
    func text(_ element: Element) -> String? {
        guard let value = values[element.rawValue], let last = value.lastIndex(where: { $0 != 0 && $0 != 0x20 }) else { return nil }
        return String(decoding: value[...last], as: UTF8.self)
    }

    /// Sets a text, UID or AE title; nil removes it.
    mutating func set(_ element: Element, _ text: String?, padding: UInt8 = 0) {
        values[element.rawValue] = text.map { Array($0.utf8) }.map { $0.count % 2 == 0 ? $0 : $0 + [padding] }
    }
}
