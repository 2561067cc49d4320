/// All that is wrong with a configuration file, each with its path in the file.
public struct ConfigurationErrors: Error, Sendable, CustomStringConvertible {
    public struct Item: Sendable, Equatable, Codable, CustomStringConvertible {
        /// Such as `destinations[1].port`; empty for the file itself.
        public let path: String
        /// From 1; nil when the setting is not in the file.
        public let line: Int?
        public let message: String
        public var description: String { (path.isEmpty ? "" : path + ": ") + message + (line.map { " (line \($0))" } ?? "") }
    }

    public let file: String
    public let errors: [Item]
    public var description: String {
        "\(file) has \(errors.count == 1 ? "an error" : "\(errors.count) errors"):\n" + errors.map { "  \($0)" }.joined(separator: "\n")
    }
}

/// Gathers errors, and the settings that were asked for, while a file is read to its end.
final class ErrorCollector {
    var settings: Set<String> = []
    var errors: [ConfigurationErrors.Item] = []
}
