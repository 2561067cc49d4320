import DICOMImaging
import Foundation
import ImagingGeometry
import MedLSAM
import ModelRuntime

/// What a job needs of contouring, so that it can be tried without networks.
public protocol ContouringEngine: Sendable {
    var templateSet: String { get }
    var templateSetVersion: String { get }
    /// The networks that take part, with their digests.
    var models: [ResultContext.Model] { get }
    /// Contours every structure; blocks. The same volume and seed give the same result.
    func contour(
        _ volume: Volume, seed: UInt64, progress: @escaping @Sendable (ContouringStage, Double) -> Void
    ) throws -> [StructureOutcome]
}

/// MedLSAM with the installed networks and a template set.
public struct MedLSAMEngine: ContouringEngine {
    /// The networks by their names in the model library.
    static let networks = (localiser: "medlam-hn", segmenter: "lite-medsam")

    public let templateSet, templateSetVersion: String
    public let models: [ResultContext.Model]
    private let contourer: Contourer

    /// Loads everything; throws what is missing and what to do about it. `threads` 0 is one a processor core.
    public init(templateSet name: String, folders: ModelFolders, threads: Int = 0) throws {
        let library = ModelLibrary(folders: folders)
        let digests = try [Self.networks.localiser, Self.networks.segmenter].map { (name: $0, digest: try library.verify($0)) }
        let templates = try TemplateLibrary(folder: folders.templates).load(name)
        let threads = threads > 0 ? threads : ProcessInfo.processInfo.activeProcessorCount
        // One stream a thread: contouring calls the networks from as many threads of its own.
        func graph(_ graph: String, of model: String) throws -> any Model {
            try library.load(model, graph: graph, threads: threads, streams: threads)
        }
        models = try digests.map {
            ResultContext.Model(name: $0.name, version: try library.status(of: $0.name).manifest.version, digest: $0.digest)
        }
        contourer = try Contourer(
            models: ContouringModels(
                position: graph("position", of: Self.networks.localiser), features: graph("features", of: Self.networks.localiser),
                encoder: graph("encoder", of: Self.networks.segmenter), decoder: graph("decoder", of: Self.networks.segmenter),
                medlamDigest: digests[0].digest),
            templates: templates, threads: threads)
        templateSet = templates.name
        templateSetVersion = "\(templates.version)"
    }

    public func contour(
        _ volume: Volume, seed: UInt64, progress: @escaping @Sendable (ContouringStage, Double) -> Void
    ) throws -> [StructureOutcome] {
        try contourer.contour(volume, seed: seed, progress: progress)
    }
}

extension ModelLibrary {
    /// The library in a node's folders.
    public init(folders: ModelFolders) {
        self.init(manifests: folders.manifests, installed: folders.installed, runtime: folders.runtime)
    }
}
