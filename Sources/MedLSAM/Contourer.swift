import ImagingGeometry

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
    /// The mask reaches the end of what was scanned: the structure goes on where nothing is known of it.
    public let isCutOff: Bool
    /// On the CT's own grid; nil unless segmented.
    public let mask: Mask?
    /// How likely each voxel is inside, on the mask's grid; the mask are those from `ProbabilityMap.inside` on.
    public let probabilities: ProbabilityMap?
    /// The localised box in patient space; nil where there is none.
    public let boxLPS: Bounds?
    /// The mask that was made and is not given out, to judge whether that was right; nil when none was made. No product is made of it.
    public let withheldMask: Mask?
    /// What the confidence is made of; empty where there is none.
    public let evidence: [Evidence: Double]

    public init(definition: StructureDefinition, state: StructureState, confidence: Double?, isCutOff: Bool = false, mask: Mask?, probabilities: ProbabilityMap? = nil, boxLPS: Bounds?,
                withheldMask: Mask? = nil, evidence: [Evidence: Double] = [:]) {
        self.definition = definition
        self.state = state
        self.confidence = confidence
        self.isCutOff = isCutOff
        self.mask = mask
        self.probabilities = probabilities
        self.boxLPS = boxLPS
        self.withheldMask = withheldMask
        self.evidence = evidence
    }
}

/// What contouring is doing, for a progress line.
public enum ContouringStage: String, Sendable {
    case localising, segmenting
}

/// Contours a CT with MedLSAM: localise each structure of a template set, prompt, segment.
public struct Contourer: Sendable {
    private let templates: TemplateSet
    private let method: ContouringMethod
    /// Nil for `given`, whose places come with each call.
    private let localiser: (any StructureLocaliser)?
    private let segmenter: any StructureSegmenter

    /// Loads the networks that the method runs; throws what is missing, `templateSetForOtherWeights` or `templateSetLacks`.
    ///
    /// `threads` is how many threads of its own `contour` calls the networks on.
    public init(models: ContouringModels, templates: TemplateSet, method: ContouringMethod = ContouringMethod(), threads: Int = 1) throws {
        self.templates = templates
        self.method = method
        try templates.check(for: method.localiser)
        switch method.localiser {
        case .medlam, .medlamPublished:
            let medlam = try models.medlam(of: templates), features = try models.graph("features", of: medlam)
            let position = PositionNetwork(model: try models.graph("position", of: medlam))
            localiser = method.localiser == .medlam
                ? MedLAMLocaliser(position: position, features: features, templates: templates, threads: threads)
                : PublishedLocaliser(position: position, features: features, templates: templates, threads: threads)
        case .registration: localiser = RegistrationLocaliser(templates: templates, threads: threads)
        case .templateBox: localiser = TemplateBoxLocaliser(templates: templates)
        case .given: localiser = nil
        }
        segmenter = try Self.segmenter(method.segmenter, models, templates, threads)
    }

    private static func segmenter(_ choice: SegmenterChoice, _ models: ContouringModels, _ templates: TemplateSet, _ threads: Int) throws -> any StructureSegmenter {
        switch choice {
        case .trained:
            let needsOthers = try models.segmenters(of: choice, templates).contains(.liteMedSAM)
            return TrainedSegmenter(network: try models.graph("segment", of: .segmenterHN), structures: try models.structures(of: .segmenterHN),
                                    others: needsOthers ? try segmenter(.liteMedSAM, models, templates, threads) : nil, threads: threads)
        case .liteMedSAM:
            return PromptedSegmenter(encoder: try models.graph("encoder", of: .liteMedSAM), decoder: try models.graph("decoder", of: .liteMedSAM),
                                     joining: .withShapes(templates.contrasts), threads: threads)
        case .medsamViTB, .samViTB:
            let network = choice == .medsamViTB ? ContouringNetwork.medsamViTB : .samViTB
            return PromptedSegmenter(encoder: try models.graph("encoder", of: network), decoder: try models.graph("decoder", of: network),
                                     joining: .alone, pixels: 1024)
        case .shape: return PlainSegmenter(filling: .shape)
        case .box: return PlainSegmenter(filling: .box)
        }
    }

    /// Contours every structure of the template set; blocks for minutes, so call it on a thread of its own.
    ///
    /// The same volume and seed give the same result. `progress` gets the stage and how much of it is done (0 to 1). For evaluation: `given`
    /// are the known masks by name, on any grid, that the localiser `given` places structures by (none without them), and `judgingWithheld` has
    /// masks made of structures in the field of view even where it is clear before that they will be withheld; `memory` is this scan's.
    public func contour(_ volume: Volume, seed: UInt64, given: [String: Mask]? = nil, judgingWithheld: Bool = false, memory: PlaceMemory = PlaceMemory(),
                        progress: @escaping @Sendable (ContouringStage, Double) -> Void = { _, _ in }) throws -> [StructureOutcome] {
        progress(.localising, 0)
        let working = WorkingVolume(volume)
        let localiser = self.localiser ?? GivenLocaliser(masks: given ?? [:])
        let placed = try memory.places(method.localiser) { try localiser.localise(working, seed: seed) { progress(.localising, $0) } }
        progress(.localising, 1)
        progress(.segmenting, 0)
        let judge = Judge(templates: templates, volume: working)
        var segmented = try segmenter.segment(volume, working, judge.worthSegmenting(placed)) { progress(.segmenting, $0) }
        if judgingWithheld {
            // Each on its own: where one is thought to be must not change what is seen of the others.
            for (name, structure) in judge.doubtful(placed) { segmented.merge(try segmenter.segment(volume, working, [name: structure]) { _ in }) { $1 } }
        }
        progress(.segmenting, 1)
        return templates.structures.map { judge.outcome($0, placed, segmented[$0.name]) }
    }
}
