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
        models = try [Self.networks.localiser, Self.networks.segmenter].map {
            ResultContext.Model(name: $0, version: try library.status(of: $0).manifest.version, digest: try library.verify($0))
        }
        let templates = try TemplateLibrary(folder: folders.templates).load(name)
        let threads = threads > 0 ? threads : ProcessInfo.processInfo.activeProcessorCount
        contourer = try Contourer(models: ContouringModels(library, threads: threads), templates: templates, threads: threads)
        templateSet = templates.name
        templateSetVersion = "\(templates.version)"
    }

    public func contour(
        _ volume: Volume, seed: UInt64, progress: @escaping @Sendable (ContouringStage, Double) -> Void
    ) throws -> [StructureOutcome] {
        try contourer.contour(volume, seed: seed, progress: progress)
    }
}

extension ContouringModels {
    /// Loads the networks, for as many callers at once as there are threads; throws what is missing.
    public init(_ library: ModelLibrary, threads: Int) throws {
        // One stream a thread: contouring calls the networks from as many threads of its own.
        func graph(_ graph: String, of model: String) throws -> any Model {
            try library.load(model, graph: graph, threads: threads, streams: threads)
        }
        let (localiser, segmenter) = MedLSAMEngine.networks
        try self.init(
            position: graph("position", of: localiser), features: graph("features", of: localiser),
            encoder: graph("encoder", of: segmenter), decoder: graph("decoder", of: segmenter),
            medlamDigest: library.verify(localiser))
    }
}

extension ModelLibrary {
    /// The library in a node's folders.
    public init(folders: ModelFolders) {
        self.init(manifests: folders.manifests, installed: folders.installed, runtime: folders.runtime)
    }
}
