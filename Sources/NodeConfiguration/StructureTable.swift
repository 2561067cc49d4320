import DICOMCore
import Foundation

/// What `convert` is told of given structures: names, codes, colours and who drew them; docs/how-to/convert.md explains the file.
public struct StructureTable: Sendable, Equatable {
    /// One structure of the file.
    public struct Entry: Sendable, Equatable {
        /// Which it is in the given file: by label, Segment Number or ROI Number.
        public var label: Int?
        /// Or by the name it has there; `*` is every structure that no other entry is for.
        public var from: String?
        public var name: String?
        public var type, category, laterality: CodedConcept?
        /// sRGB, 0 to 255.
        public var color: SIMD3<UInt8>?
        /// Who or what drew it.
        public var madeBy: String?
        public var method: Method?
    }

    /// Segment Algorithm Type in small letters.
    public enum Method: String, Sendable, CaseIterable { case automatic, semiautomatic, manual }

    public var entries: [Entry]

    public init(entries: [Entry] = []) { self.entries = entries }

    /// The entry for a structure: by number, then by name whatever its case, else the one for all others.
    ///
    /// `number` is nil where it tells nothing, as in files of one mask each.
    public func entry(number: Int?, name: String?) -> Entry? {
        entries.first { $0.label != nil && $0.label == number }
            ?? entries.first { $0.from != nil && $0.from?.lowercased() == name?.lowercased() }
            ?? entries.first { $0.from == "*" }
    }

    /// Reads YAML or JSON (a mapping `structures` to a list) or, where the path ends in `.csv`, CSV with the same keys in its first line.
    ///
    /// Throws all that is wrong with it at once.
    public static func load(_ path: String) throws(ConfigurationErrors) -> StructureTable {
        guard let data = FileManager.default.contents(atPath: path), let text = String(data: data, encoding: .utf8) else {
            throw ConfigurationErrors(file: path, errors: [.init(path: "", line: nil, message: "the file cannot be read as UTF-8 text")])
        }
        let collector = ErrorCollector()
        let top = path.lowercased().hasSuffix(".csv") ? Section(rows: CSV.rows(text), of: "structures", collector: collector) : Section(yaml: text, collector: collector)
        let table = StructureTable(entries: top.list("structures", entry))
        top.finish()
        if table.entries.isEmpty, collector.errors.isEmpty { top.fail("structures", "must list at least one structure") }
        guard collector.errors.isEmpty else { throw ConfigurationErrors(file: path, errors: collector.errors) }
        return table
    }

    private static func entry(_ section: Section) -> Entry {
        let entry = Entry(
            label: section.optionalInteger("label", 0...65535), from: section.optionalString("from"), name: section.optionalString("name"),
            type: concept(section, "code", "meaning"), category: concept(section, "categoryCode", "categoryMeaning"),
            laterality: section.optional("side") { section.word("side", default: Side.left).concept }, color: color(section),
            madeBy: section.optionalString("madeBy"), method: section.optional("method") { section.word("method", default: .automatic) })
        if entry.label == nil, entry.from == nil { section.fail("label", "is missing: a structure is found by `label` or `from`") }
        return entry
    }

    /// PS3.16 CID 244.
    private enum Side: String, CaseIterable {
        case left, right, both, unilateral

        var concept: CodedConcept {
            let (value, meaning) = switch self {
            case .left: ("7771000", "Left")
            case .right: ("24028007", "Right")
            case .both: ("51440002", "Right and left")
            case .unilateral: ("66459002", "Unilateral")
            }
            return CodedConcept(value: value, scheme: "SCT", meaning: meaning)
        }
    }

    /// `119238007` is SNOMED CT; another scheme stands before a blank, such as `99LOCAL A1`.
    private static func concept(_ section: Section, _ code: String, _ meaning: String) -> CodedConcept? {
        guard let text = section.optionalString(code) else {
            if section.has(meaning) { section.fail(meaning, "needs \(code)") }
            return nil
        }
        let words = text.split(separator: " ").map(String.init), value = words.last ?? ""
        guard (1...2).contains(words.count), value.utf8.count <= 64, words[0].utf8.count <= 16 || words.count == 1 else {
            section.fail(code, "\"\(text)\" is no code: a SNOMED CT number, or a scheme and a code")
            return nil
        }
        return CodedConcept(value: value, scheme: words.count == 2 ? words[0] : "SCT", meaning: String(section.string(meaning).prefix(64)))
    }

    private static func color(_ section: Section) -> SIMD3<UInt8>? {
        section.optional("color") {
            section.scalar("color", default: nil, stand: .zero, rgb) { "\"\($0)\" is no colour such as \"#FF8A80\"" }
        }
    }
}

/// Comma-separated values (RFC 4180).
enum CSV {
    /// Each row by the names in the first; empty cells are left out.
    static func rows(_ text: String) -> [[String: String]] {
        let lines = cells(text)
        guard let names = lines.first else { return [] }
        return lines.dropFirst().map { cells in
            Dictionary(zip(names, cells).filter { !$1.isEmpty }) { first, _ in first }
        }
    }

    private static func cells(_ text: String) -> [[String]] {
        var rows: [[String]] = [], row: [String] = [], cell = "", isQuoted = false
        func endCell() {
            row.append(cell.trimmingCharacters(in: .whitespaces))
            cell = ""
        }
        func endRow() {
            endCell()
            if row != [""] { rows.append(row) }
            row = []
        }
        var characters = text.replacing("\r\n", with: "\n").replacing("\u{FEFF}", with: "")[...]
        while let character = characters.popFirst() {
            if character == "\"" {
                if isQuoted, characters.first == "\"" { cell.append(characters.removeFirst()) } else { isQuoted.toggle() }
            } else if isQuoted { cell.append(character) } else if character == "," { endCell() } else if character == "\n" { endRow() } else { cell.append(character) }
        }
        endRow()
        return rows
    }
}
