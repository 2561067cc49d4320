import Yams

/// Settings that are patterns, or several values at once.
extension Section {
    /// Several of the words of an enumeration, in a list or one alone.
    func words<T: RawRepresentable & CaseIterable>(_ key: String, default value: [T]) -> [T] where T.RawValue == String {
        items(key, T.init(rawValue:), not: { "\($0) is none of " + T.allCases.map(\.rawValue).joined(separator: ", ") }) ?? value
    }

    func pattern(_ key: String, default value: String? = nil) -> TextPattern {
        scalar(key, default: value.map(TextPattern.init(known:)), stand: TextPattern(known: ""), { try? TextPattern($0) }, not: isNoPattern)
    }

    /// Patterns in a list, or one alone; none when absent.
    func patterns(_ key: String) -> [TextPattern] { items(key, { try? TextPattern($0) }, not: isNoPattern) ?? [] }

    /// The values of a list, or a single value; nil when absent.
    private func items<T>(_ key: String, _ read: (String) -> T?, not message: (String) -> String) -> [T]? {
        known.insert(key)
        guard let node = mapping[key] else { return nil }
        let items = node.sequence.map { Array($0) } ?? [node]
        return items.enumerated().compactMap { index, item in
            let at = path + key + (node.sequence == nil ? "" : "[\(index)]")
            guard let text = item.scalar?.string else {
                collector.errors.append(.init(path: at, line: item.mark?.line, message: "must be a single value"))
                return nil
            }
            if let value = read(text) { return value }
            collector.errors.append(.init(path: at, line: item.mark?.line, message: message(text)))
            return nil
        }
    }
}

private func isNoPattern(_ text: String) -> String {
    do throws(TextPattern.Fault) { _ = try TextPattern(text) } catch { return "is no regular expression: \(error)" }
    return ""
}
