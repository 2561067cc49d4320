import DICOMImaging
import Foundation
import ImagingGeometry
import MedLSAM
import ModelRuntime
import NodeConfiguration

/// What a job needs of contouring, so that it can be tried without networks.
public protocol ContouringEngine: Sendable {
    var method: ContouringMethod { get }
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
    public let method: ContouringMethod
    public let templateSet, templateSetVersion: String
    public let models: [ResultContext.Model]
    let contourer: Contourer

    /// Loads what the method needs; throws what is missing and what to do about it. `threads` 0 is one a processor core.
    public init(templateSet name: String, method: ContouringMethod, folders: ModelFolders, threads: Int = 0) throws {
        let library = ModelLibrary(folders: folders), threads = threads > 0 ? threads : ProcessInfo.processInfo.activeProcessorCount
        try self.init(templates: TemplateLibrary(folder: folders.templates).load(name), method: method, library: library,
                      networks: ContouringModels(library, threads: threads), threads: threads)
    }

    /// The same with a template set at hand and networks that others may share.
    init(templates: TemplateSet, method: ContouringMethod, library: ModelLibrary, networks: ContouringModels, threads: Int) throws {
        contourer = try Contourer(models: networks, templates: templates, method: method, threads: threads)
        models = try networks.networks(of: method, templates).map(\.rawValue).map {
            ResultContext.Model(name: $0, version: try library.status(of: $0).manifest.version, digest: try library.verify($0))
        }
        self.method = method
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
    /// The networks of a library, each for as many callers at once as there are threads.
    public convenience init(_ library: ModelLibrary, threads: Int) {
        // One stream a thread: contouring calls the networks from as many threads of its own, unless a network needs too much memory for that.
        self.init(digest: { try library.verify($0.rawValue) }, structures: { try library.status(of: $0.rawValue).manifest.structures ?? [] }, load: {
            try library.load($0.rawValue, graph: $1, threads: threads, streams: $0.isCalledOnceAtATime ? 1 : threads)
        })
    }
}

extension ContouringMethod {
    /// The method of the settings.
    public init(_ contouring: Configuration.Contouring) {
        // The settings' words are a choice of those that MedLSAM has; a test holds one against the other.
        self.init(localiser: LocaliserChoice(rawValue: contouring.localiser.rawValue)!, segmenter: SegmenterChoice(rawValue: contouring.segmenter.rawValue)!)
    }
}

extension ModelLibrary {
    /// The library in a node's folders.
    public init(folders: ModelFolders) {
        self.init(manifests: folders.manifests, installed: folders.installed, runtime: folders.runtime)
    }
}
