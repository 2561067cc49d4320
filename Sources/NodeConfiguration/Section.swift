import DICOMCore
import Foundation
import Yams

/// A mapping in the file that is read key by key; what is wrong goes to the collector, and a stand-in is returned.
final class Section {
    let path: String
    private let line: Int?
    let mapping: Node.Mapping
    let collector: ErrorCollector
    var known: Set<String> = []

    private init(_ mapping: Node.Mapping, path: String, line: Int?, collector: ErrorCollector) {
        self.mapping = mapping
        self.path = path
        self.line = line
        self.collector = collector
    }

    /// The whole file.
    convenience init(yaml: String, collector: ErrorCollector) {
        var mapping = Node.Mapping([])
        do {
            let node = try Yams.compose(yaml: yaml)
            if let found = node?.mapping {
                mapping = found
            } else if node != nil {
                collector.errors.append(.init(path: "", line: node?.mark?.line, message: "the file must be a mapping of settings"))
            }
        } catch {
            let message = "\(error)".split(separator: "\n").first.map(String.init) ?? "unreadable"
            collector.errors.append(.init(path: "", line: nil, message: "not YAML: \(message)"))
        }
        self.init(mapping, path: "", line: nil, collector: collector)
    }

    /// A list of mappings of single values, under one key.
    convenience init(rows: [[String: String]], of key: String, collector: ErrorCollector) {
        let items = rows.map { row in Node(row.map { (Node($0.key), Node($0.value)) }) }
        self.init(Node.Mapping([(Node(key), Node(items))]), path: "", line: nil, collector: collector)
    }

    func fail(_ key: String, _ message: String) { report(key, mapping[key], message) }

    /// Reports what is wrong with a value, by its path from here.
    func report(_ key: String, _ value: Node?, _ message: String) {
        collector.errors.append(.init(path: path + key, line: value?.mark?.line, message: message))
    }

    // MARK: Values

    func string(_ key: String, default value: String? = nil) -> String {
        scalar(key, default: value, stand: "") { $0.isEmpty ? nil : $0 } not: { _ in "must not be empty" }
    }

    func integer(_ key: String, _ range: ClosedRange<Int>, default value: Int? = nil) -> Int {
        scalar(key, default: value, stand: range.lowerBound) { Int($0).flatMap { range.contains($0) ? $0 : nil } } not: {
            "\($0) is not a whole number from \(range.lowerBound) to \(range.upperBound)"
        }
    }

    func number(_ key: String, _ range: ClosedRange<Double>, default value: Double? = nil) -> Double {
        scalar(key, default: value, stand: range.lowerBound) { Double($0).flatMap { range.contains($0) ? $0 : nil } } not: {
            "\($0) is not a number from \(range.lowerBound) to \(range.upperBound)"
        }
    }

    func port(_ key: String, allowingZero: Bool = false, default value: Int? = nil) -> Int {
        let range = (allowingZero ? 0 : 1)...65535
        return scalar(key, default: value, stand: 1) { Int($0).flatMap { range.contains($0) ? $0 : nil } } not: {
            "\($0) is not a port (\(range.lowerBound)-65535)"
        }
    }

    func aeTitle(_ key: String) -> AETitle {
        scalar(key, default: nil, stand: Self.standInTitle) { AETitle($0) } not: {
            "\"\($0)\" is not an AE title (1 to 16 characters of ASCII without backslash)"
        }
    }

    func optionalAETitle(_ key: String) -> AETitle? {
        optional(key) { aeTitle(key) }
    }

    /// An IPv4 or IPv6 address in numbers.
    func optionalAddress(_ key: String) -> String? {
        known.insert(key)
        guard mapping[key] != nil else { return nil }
        let text: String = scalar(key, default: nil, stand: "") { text in
            var address = in6_addr()
            return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1 ? text : nil
        } not: { "\"\($0)\" is not a numerical IPv4 or IPv6 address" }
        return text
    }

    /// A path; a relative one is taken from `folder`.
    func folder(_ key: String, in folder: URL) -> URL {
        let path = string(key)
        return (path.hasPrefix("/") ? URL(fileURLWithPath: path) : folder.appending(path: path)).standardizedFileURL
    }

    func optionalPort(_ key: String, allowingZero: Bool = false) -> Int? {
        optional(key) { port(key, allowingZero: allowingZero) }
    }

    func optionalInteger(_ key: String, _ range: ClosedRange<Int>) -> Int? {
        optional(key) { integer(key, range) }
    }

    func optionalString(_ key: String) -> String? {
        optional(key) { string(key) }
    }

    /// The path of a file; a relative one is taken from `folder`.
    func optionalFile(_ key: String, in folder: URL) -> String? {
        optional(key) { self.folder(key, in: folder).path }
    }

    func flag(_ key: String, default value: Bool) -> Bool {
        scalar(key, default: value, stand: value) { ["true": true, "false": false][$0] } not: { "\($0) is neither true nor false" }
    }

    /// One of the words of an enumeration.
    func word<T: RawRepresentable & CaseIterable>(_ key: String, default value: T) -> T where T.RawValue == String {
        scalar(key, default: value, stand: value) { T(rawValue: $0) } not: {
            "\($0) is none of " + T.allCases.map(\.rawValue).joined(separator: ", ")
        }
    }

    /// `any` (nil, the default), `own`, or a list of titles.
    func titles(_ key: String, own: AETitle) -> [AETitle]? {
        known.insert(key)
        return switch mapping[key]?.scalar?.string {
        case "own": [own]
        case "any": nil
        default: values(key) { AETitle($0) } not: { "\"\($0)\" is not an AE title" }
        }
    }

    /// Addresses and networks; nil when absent.
    func optionalNetworks(_ key: String) -> [AddressRange]? {
        values(key) { AddressRange($0) } not: { "\($0) is neither an address in numbers nor a network such as 10.0.0.0/8" }
    }

    /// A list of single values; nil when absent.
    private func values<T>(_ key: String, _ read: (String) -> T?, not message: (String) -> String) -> [T]? {
        optional(key) {
            guard let items = mapping[key]?.sequence else {
                fail(key, "must be a list")
                return []
            }
            return items.compactMap { item in
                let text = item.scalar?.string ?? ""
                let value = read(text)
                if value == nil { fail(key, message(text)) }
                return value
            }
        }
    }

    func optional<T>(_ key: String, _ read: () -> T) -> T? {
        known.insert(key)
        return has(key) ? read() : nil
    }

    /// Whether the file says anything of a setting.
    func has(_ key: String) -> Bool {
        known.insert(key)
        return mapping[key] != nil
    }

    static let standInTitle = AETitle("X")!

    func scalar<T>(
        _ key: String, default value: T?, stand: T, _ read: (String) -> T?, not message: (String) -> String
    ) -> T {
        known.insert(key)
        guard let node = mapping[key] else {
            if let value { return value }
            collector.errors.append(.init(path: path + key, line: line, message: "is missing"))
            return stand
        }
        guard let text = node.scalar?.string else {
            fail(key, "must be a single value")
            return stand
        }
        if let result = read(text) { return result }
        fail(key, message(text))
        return stand
    }

    // MARK: Nesting

    /// A nested mapping; read as empty when absent.
    func section<T>(_ key: String, _ read: (Section) -> T) -> T {
        known.insert(key)
        let node = mapping[key]
        let isWrong = node.map { $0.mapping == nil && $0 != Node("", Tag(.null)) } ?? false
        if isWrong { fail(key, "must be a mapping of settings") }
        return nested(node, path + key + ".", isWrong: isWrong, read)
    }

    /// A nested mapping; nil when absent.
    func optionalSection<T>(_ key: String, _ read: (Section) -> T) -> T? {
        optional(key) { section(key, read) }
    }

    /// A list of mappings; empty when absent.
    func list<T>(_ key: String, _ read: (Section) -> T) -> [T] {
        known.insert(key)
        guard let node = mapping[key] else { return [] }
        guard let items = node.sequence else {
            fail(key, "must be a list")
            return []
        }
        return items.enumerated().map { index, item in
            let at = "\(path)\(key)[\(index)]"
            let isWrong = item.mapping == nil
            if isWrong { collector.errors.append(.init(path: at, line: item.mark?.line, message: "must be a mapping of settings")) }
            return nested(item, at + ".", isWrong: isWrong, read)
        }
    }

    /// Reads what should be a mapping; what a wrong one lacks is no further news.
    private func nested<T>(_ node: Node?, _ path: String, isWrong: Bool, _ read: (Section) -> T) -> T {
        let section = Section(
            node?.mapping ?? Node.Mapping([]), path: path, line: node?.mark?.line, collector: isWrong ? ErrorCollector() : collector)
        defer { section.finish() }
        return read(section)
    }

    /// Reports the keys that nothing asked for.
    func finish() {
        collector.settings.formUnion(known.map { path + $0 })
        for (key, _) in mapping {
            guard let name = key.string, !known.contains(name) else { continue }
            let near = known.map { ($0, distance(name.lowercased(), $0.lowercased())) }.min { ($0.1, $0.0) < ($1.1, $1.0) }
            let hint = near.flatMap { $0.1 <= 3 ? "; did you mean \($0.0)?" : nil } ?? ""
            collector.errors.append(.init(path: path + name, line: key.mark?.line, message: "is not a setting" + hint))
        }
    }
}

/// The number of single-character edits between two words (Levenshtein).
private func distance(_ a: String, _ b: String) -> Int {
    let b = Array(b)
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            (diagonal, row[j + 1]) = (row[j + 1], min(row[j] + 1, row[j + 1] + 1, diagonal + (x == y ? 0 : 1)))
        }
    }
    return row[b.count]
}
