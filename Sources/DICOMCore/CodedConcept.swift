/// A coded concept (PS3.3 section 8): a code value, the scheme it belongs to, and words for people.
public struct CodedConcept: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The code, for instance `15776009`.
    public let value: String
    /// The coding scheme designator, for instance `SCT`.
    public let scheme: String
    /// What the code means, in words.
    public let meaning: String

    /// A concept of a code, its scheme and its meaning.
    public init(value: String, scheme: String, meaning: String) {
        self.value = value
        self.scheme = scheme
        self.meaning = meaning
    }

    public var description: String { "(\(value), \(scheme), \"\(meaning)\")" }
}

extension DataSet {
    /// Code values longer than this go into LongCodeValue (PS3.3 8.1).
    private static let longestCodeValue = 16

    /// Replaces a code sequence by one item that holds the concept.
    public func set(_ tag: Tag, _ concept: CodedConcept) throws {
        remove(tag)
        let item = try addItem(tag)
        try item.set(concept.value.utf8.count > Self.longestCodeValue ? .longCodeValue : .codeValue, concept.value)
        try item.set(.codingSchemeDesignator, concept.scheme)
        try item.set(.codeMeaning, concept.meaning)
    }

    /// The first concept of a code sequence; nil when absent or incomplete.
    public func concept(_ tag: Tag) -> CodedConcept? {
        guard let item = items(tag).first, let value = item.string(.codeValue) ?? item.string(.longCodeValue),
              let scheme = item.string(.codingSchemeDesignator) else { return nil }
        return CodedConcept(value: value, scheme: scheme, meaning: item.string(.codeMeaning) ?? "")
    }
}
