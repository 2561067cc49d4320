import DICOMCore

/// Who drew a structure, as the objects that hold it must tell (PS3.3 C.8.20.4 for SEG, C.8.8.5 for RTSTRUCT).
public struct Authorship: Codable, Sendable, Hashable {
    /// Segment Algorithm Type and ROI Generation Algorithm.
    public enum Method: String, Codable, Sendable, CaseIterable { case automatic = "AUTOMATIC", semiautomatic = "SEMIAUTOMATIC", manual = "MANUAL" }

    public var method: Method
    /// Who or what drew it, such as an algorithm's name with its version; nil where a person did and is not named.
    public var name: String?
    /// The identification that the given object had of its own (PS3.3 table 10-19); nil where it had none.
    public var algorithm: Algorithm?

    /// An algorithm as PS3.3 10.16 identifies it.
    public struct Algorithm: Codable, Sendable, Hashable {
        /// Algorithm family (PS3.16 CID 7162), such as Artificial Intelligence.
        public var family: CodedConcept
        public var name, version: String
        public var parameters, source: String?

        public init(family: CodedConcept, name: String, version: String, parameters: String? = nil, source: String? = nil) {
            self.family = family
            self.name = name
            self.version = version
            self.parameters = parameters
            self.source = source
        }
    }

    public init(method: Method, name: String? = nil, algorithm: Algorithm? = nil) {
        self.method = method
        self.name = name
        self.algorithm = algorithm
    }
}

/// Masks that came from elsewhere: what an object made of them says instead of naming MedLSAM.
public struct Conversion: Sendable, Hashable {
    /// Where they come from, such as `Segmentation 1.2.3 of highdicom`; names no person and no path.
    public var origin: String
    /// SHA-256 over what was given: the UIDs depend on it, as the masks are not computed from the source.
    public var digest: String

    public init(origin: String, digest: String) {
        self.origin = origin
        self.digest = digest
    }
}

extension ResultHeader {
    /// How the objects are labelled, in 16 characters: what a reader of a list must know.
    var label: String { context.conversion == nil ? "AUTO UNAPPROVED" : "CONVERTED" }

    /// Series Description without the object's kind.
    var seriesTitle: String { context.conversion == nil ? "AUTO UNAPPROVED \(Self.algorithm)" : "CONVERTED" }

    /// What the object holds, in some words.
    var title: String { context.conversion == nil ? "Automatic contours, not reviewed" : "Contours made elsewhere, converted" }

    /// What the object holds and how it came about, in sentences.
    var account: String {
        context.conversion == nil ? "Automatic contours by \(Self.algorithm), not reviewed. \(provenance)." : "Contours made elsewhere. \(provenance)."
    }

    /// Who drew a structure: the one named with it, else MedLSAM.
    func author(of segment: ResultSegment) -> Authorship {
        segment.author ?? Authorship(method: .automatic, name: Self.algorithm, algorithm: .init(
            family: CodedConcept(value: "123110", scheme: "DCM", meaning: "Artificial Intelligence"), name: Self.algorithm,
            version: context.softwareVersion, parameters: provenance, source: Self.manufacturer))
    }
}
