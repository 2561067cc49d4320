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
        fatalError("being built")
    }

    public func contour(
        _ volume: Volume, seed: UInt64, progress: @escaping @Sendable (ContouringStage, Double) -> Void
    ) throws -> [StructureOutcome] {
        try contourer.contour(volume, seed: seed, progress: progress)
    }
}
