import DICOMCore
import DICOMImaging
import Foundation
import MedLSAM
import NodeConfiguration

/// What a worker process is asked to do: one JSON line on its standard input, which then stays open for as long as the
/// asker lives.
struct WorkerRequest: Codable, Sendable {
    /// Absolute paths of the series' files.
    let inputs: [String]
    /// An existing, empty folder for the objects.
    let output: String
    let templateSet: String
    let method: ContouringMethod
    let models: ModelFolders
    let threads: Int
    /// What tells this installation from others, in the objects.
    let deviceSerialNumber: String
    /// The content date and time of the objects; the same at every attempt.
    let contentDate: Date
    /// What to write, each once.
    let specifications: [ResultSpecification]
    /// The objects that the job's will replace.
    let replaces: [ReplacedObject]
}

/// Folders of networks, runtime and template sets.
public struct ModelFolders: Codable, Sendable {
    public let manifests, installed, runtime, templates: URL

    public init(_ models: Configuration.Models) {
        manifests = models.manifests
        installed = models.installed
        runtime = models.runtime
        templates = models.templates
    }
}

/// What a worker process says: JSON lines on its standard output, the last of which is its result.
enum WorkerMessage: Codable, Sendable {
    case progress(stage: String, fraction: Double)
    case finished(JobReport)
    /// The input is not for contouring.
    case refused(reason: String)
    /// Another attempt could not go otherwise.
    case failed(reason: String)
    /// Another attempt may go better.
    case stumbled(reason: String)
}

/// What contouring a series came to: the table of structures, the objects made, and what it cost.
public struct JobReport: Codable, Sendable {
    public struct Structure: Codable, Sendable {
        public enum State: String, Codable, Sendable { case segmented, notInFieldOfView, withheld }
        public let name: String
        public let state: State
        /// Why it was withheld.
        public let reason: String?
        /// 0 to 1.
        public let confidence: Double?
        /// What the confidence is made of, by `Evidence`; nil in reports of an earlier version.
        public let evidence: [String: Double]?
        /// The structure goes on beyond the scan; nil in reports of an earlier version.
        public let isCutOff: Bool?
        public let volumeMillilitres: Double?
    }

    public struct Object: Codable, Sendable {
        /// Its `ResultKind`.
        public let kind: String
        /// Its specification's name, and which of those asked for that is, from 0; nil in reports of an earlier version.
        public let name: String?
        public let specification: Int?
        public let sopClassUID, sopInstanceUID: String
        /// In the output folder.
        public let file: String
    }

    public struct Stage: Codable, Sendable {
        public let name: String
        public let seconds: Double
    }

    public let software: String
    public let seriesInstanceUID, studyInstanceUID: String
    public let slices: Int
    /// The source pixels went through lossy compression.
    public let isLossy: Bool
    /// What of the series was left out, a sentence each.
    public let warnings: [String]
    public let templateSet: String
    /// What localised and what segmented; nil in reports of an earlier version.
    public let method: ContouringMethod?
    /// Each with its version and digest.
    public let models: [String]
    public let structures: [Structure]
    /// Empty when no structure was segmented.
    public let objects: [Object]
    public let stages: [Stage]
    public let peakMemoryMegabytes: Int

    /// Why there are no objects; nil when there are.
    public var withheldReason: String? {
        guard objects.isEmpty else { return nil }
        let each = structures.map { "\($0.name) \($0.state == .notInFieldOfView ? "not in the field of view" : "withheld (\($0.reason ?? "no reason"))")" }
        return "No structure was segmented: " + each.joined(separator: ", ") + "."
    }
}

/// JSON as the node writes it: sorted keys, ISO 8601 dates.
enum NodeJSON {
    static func encode(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        do { return String(decoding: try encoder.encode(value), as: UTF8.self) } catch { preconditionFailure("\(error)") }
    }

    static func decode<T: Decodable>(_ type: T.Type, from text: String) throws -> T {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return try decoder.decode(type, from: Data(text.utf8))
    }
}
