import CRE2

/// A regular expression in RE2's syntax, which matches anywhere in a text, letters of either case.
///
/// Matching takes time linear in the text whatever the pattern is: what would need backtracking (back-references, look-around) is
/// no pattern.
public struct TextPattern: Sendable, Equatable, CustomStringConvertible {
    /// The expression as it was written.
    public let source: String
    private let compiled: Compiled

    /// Longer than any sensible pattern.
    static let maximumLength = 1000

    /// Why a text is no pattern.
    public struct Fault: Error, CustomStringConvertible {
        public let description: String
    }

    /// Compiles an expression; throws what is wrong with it.
    public init(_ source: String) throws(Fault) {
        guard source.utf8.count <= Self.maximumLength else { throw Fault(description: "longer than \(Self.maximumLength) bytes") }
        self.source = source
        compiled = try Compiled(source)
    }

    /// An expression of this program's own.
    init(known source: String) { try! self.init(source) }

    /// Whether it matches anywhere in a text.
    public func matches(_ text: String) -> Bool { compiled.matches(text) }

    public var description: String { source }
    public static func == (a: TextPattern, b: TextPattern) -> Bool { a.source == b.source }

    /// Owns RE2's object, which is immutable but for caches that RE2 locks itself.
    private final class Compiled: @unchecked Sendable {
        private let pattern: OpaquePointer

        init(_ source: String) throws(Fault) {
            var reason = [CChar](repeating: 0, count: 200)
            guard let pattern = cre2_compile(source, source.utf8.count, &reason, reason.count) else {
                throw Fault(description: String(decoding: reason.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
            }
            self.pattern = pattern
        }

        deinit { cre2_free(pattern) }

        func matches(_ text: String) -> Bool { cre2_matches(pattern, text, text.utf8.count) != 0 }
    }
}
