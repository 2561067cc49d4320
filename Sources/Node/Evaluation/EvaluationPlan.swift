import Crypto
import DICOMImaging
import Foundation
import MedLSAM
import NodeConfiguration

/// What an evaluation is to judge, and where its results go.
public struct EvaluationPlan: Sendable {
    /// Where the patients come from whom the node looks up to.
    public enum Supports: Sendable {
        /// So many of these folders, drawn anew for each seed; those drawn are not judged in that draw.
        case drawn(from: [URL], count: Int, seeds: [Int])
        /// Those of an installed template set.
        case installed(String)
    }

    /// Folders of a CT and its RT Structure Set each.
    public var cases: [URL]
    public var supports: Supports
    /// The first is the one that pictures are shown of.
    public var methods: [ContouringMethod]
    /// What template sets are made for.
    public var structures: [StructureDefinition]
    /// Other names that the clinic's structures may have.
    public var names: StructureTable?
    /// What a case is written as; a SEG must be among them.
    public var specifications: [ResultSpecification]
    /// Cases at once, and threads that each calls the networks on.
    public var jobs, threads: Int
    public var output: URL

    public init(cases: [URL], supports: Supports, methods: [ContouringMethod], structures: [StructureDefinition] = StructureDefinition.headNeck,
                names: StructureTable? = nil, specifications: [ResultSpecification], jobs: Int = 1, threads: Int, output: URL) {
        self.cases = cases
        self.supports = supports
        self.methods = methods
        self.structures = structures
        self.names = names
        self.specifications = specifications
        self.jobs = jobs
        self.threads = threads
        self.output = output
    }

    /// The folders in a folder, by name.
    public static func folders(in folder: URL) -> [URL] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { !$0.hasPrefix(".") }.sorted().map { folder.appending(path: $0) }.filter { path in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: path.path, isDirectory: &isFolder) && isFolder.boolValue
        }
    }

    /// The folders in the order that a seed draws them in: by the digests of seed and name, so that the same folders come in the same order
    /// wherever they lie, and one more or less leaves that of the others.
    static func drawn(_ folders: [URL], seed: Int) -> [URL] {
        folders.map { ($0, digest("\(seed) \($0.lastPathComponent)")) }.sorted { $0.1 < $1.1 }.map(\.0)
    }

    /// What a structure of a clinic is called here: by the table, else by a structure's TG-263 name whatever its case.
    func name(_ clinical: String) -> String {
        if let name = names?.entry(number: nil, name: clinical)?.name { return name }
        return structures.first { $0.name.lowercased() == clinical.lowercased() }?.name ?? clinical
    }
}

/// SHA-256 of a text, in hexadecimal.
func digest(_ text: String) -> String { SHA256.hash(data: Data(text.utf8)).map { String(format: "%02x", $0) }.joined() }

extension ContouringMethod {
    /// Such as `medlam+lite-medsam`.
    public var name: String { "\(localiser.rawValue)+\(segmenter.rawValue)" }

    /// Reads `LOCALISER+SEGMENTER`; nil where either is none.
    public init?(name: String) {
        let words = name.split(separator: "+").map(String.init)
        guard words.count == 2, let localiser = LocaliserChoice(rawValue: words[0]), let segmenter = SegmenterChoice(rawValue: words[1]) else { return nil }
        self.init(localiser: localiser, segmenter: segmenter)
    }
}
