import ImagingGeometry
import ModelRuntime

/// The networks that contouring runs. Inputs and outputs as in their manifests in Models/.
public struct ContouringModels: Sendable {
    /// MedLAM's graph `position`: patch [N, 1, 64, 64, 64] to position [N, 3].
    public let position: any Model
    /// MedLAM's graph `features`: patch to position and feature0, feature1, feature2.
    public let features: any Model
    /// LiteMedSAM's graph `encoder`: image [1, 3, 256, 256] to embedding [1, 256, 64, 64].
    public let encoder: any Model
    /// LiteMedSAM's graph `decoder`: embedding, boxes [B, 4] to logits [B, 1, 256, 256], iou [B].
    public let decoder: any Model
    /// SHA-256 of the MedLAM weights, as the manifest states it.
    public let medlamDigest: String

    public init(position: any Model, features: any Model, encoder: any Model, decoder: any Model, medlamDigest: String) {
        self.position = position
        self.features = features
        self.encoder = encoder
        self.decoder = decoder
        self.medlamDigest = medlamDigest
    }
}

/// What became of one structure of the template set.
public enum StructureState: Sendable, Hashable {
    case segmented
    case notInFieldOfView
    /// A contour was made but is not given out, with the reason.
    case withheld(reason: String)
}

/// The result for one structure.
public struct StructureOutcome: Sendable {
    public let definition: StructureDefinition
    public let state: StructureState
    /// 0 (none) to 1; nil where the structure is not in the field of view.
    public let confidence: Double?
    /// On the CT's own grid; nil unless segmented.
    public let mask: Mask?
    /// How likely each voxel is inside, on the mask's grid; the mask are those from `ProbabilityMap.inside` on.
    public let probabilities: ProbabilityMap?
    /// The localised box in patient space; nil where there is none.
    public let boxLPS: Bounds?

    public init(definition: StructureDefinition, state: StructureState, confidence: Double?, mask: Mask?, probabilities: ProbabilityMap? = nil, boxLPS: Bounds?) {
        self.definition = definition
        self.state = state
        self.confidence = confidence
        self.mask = mask
        self.probabilities = probabilities
        self.boxLPS = boxLPS
    }
}

/// What contouring is doing, for a progress line.
public enum ContouringStage: String, Sendable {
    case localising, segmenting
}

/// Contours a CT with MedLSAM: localise each structure of a template set, prompt, segment.
public struct Contourer: Sendable {
    private let models: ContouringModels
    private let templates: TemplateSet
    private let threads: Int

    /// Throws `templateSetForOtherWeights` when the template set was made with other MedLAM weights.
    ///
    /// `threads` is how many threads of its own `contour` calls the networks on.
    public init(models: ContouringModels, templates: TemplateSet, threads: Int = 1) throws {
        guard templates.medlamDigest == models.medlamDigest else {
            throw MedLSAMError(.templateSetForOtherWeights,
                "Template set \(templates.name) version \(templates.version) was made with MedLAM weights "
                + "\(templates.medlamDigest.prefix(12)), but those loaded are \(models.medlamDigest.prefix(12)): rebuild it with `template build`.")
        }
        self.models = models
        self.templates = templates
        self.threads = threads
    }

    /// Contours every structure of the template set; blocks for minutes, so call it on a thread of its own.
    ///
    /// The same volume and seed give the same result. `progress` gets the stage and how much of it is done (0 to 1).
    public func contour(_ volume: Volume, seed: UInt64,
                        progress: @escaping @Sendable (ContouringStage, Double) -> Void = { _, _ in }) throws -> [StructureOutcome] {
        let working = WorkingVolume(volume)
        let localiser = Localiser(position: PositionNetwork(model: models.position), features: models.features, templates: templates, threads: threads)
        let placed = try localiser.localise(working, seed: seed) { progress(.localising, $0) }
        progress(.localising, 1)
        let judge = Judge(templates: templates, volume: working)
        let segmenter = Segmenter(encoder: models.encoder, decoder: models.decoder, threads: threads)
        let segmented = try segmenter.segment(volume, working, judge.worthSegmenting(placed), contrasts: templates.contrasts) { progress(.segmenting, $0) }
        progress(.segmenting, 1)
        return templates.structures.map { judge.outcome($0, placed, segmented[$0.name]) }
    }
}
