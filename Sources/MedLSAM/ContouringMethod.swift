import ImagingGeometry

/// How a scan is contoured: what finds the structures, and what cuts them out.
public struct ContouringMethod: Codable, Hashable, Sendable {
    public var localiser: LocaliserChoice
    public var segmenter: SegmenterChoice

    public init(localiser: LocaliserChoice = .medlam, segmenter: SegmenterChoice = .trained) {
        self.localiser = localiser
        self.segmenter = segmenter
    }

    /// As results name it.
    public var words: String { "localiser \(localiser.rawValue), segmenter \(segmenter.rawValue)" }
}

/// What finds the structures of a template set in a scan.
public enum LocaliserChoice: String, Codable, CaseIterable, Sendable {
    /// Latent jumps and shared features of MedLAM, held together by warps.
    case medlam
    /// The paper's algorithm: a jump and a patch a landmark, with the MedLAM that the template set was made with. Slow.
    case medlamPublished = "medlam-published"
    /// The supports' scans laid over the query by translation: a baseline.
    case registration
    /// The supports' mean place in the body: a baseline.
    case templateBox = "template-box"
    /// The places of known masks, for evaluation only: the clinician's.
    case given

    /// Whether it runs the MedLAM that the template set was made with.
    public var needsMedLAM: Bool { self == .medlam || self == .medlamPublished }
}

/// What makes masks of found structures.
public enum SegmenterChoice: String, Codable, CaseIterable, Sendable {
    /// The network trained on the template set's kind of structures; those that it was not trained on go to LiteMedSAM.
    case trained
    /// LiteMedSAM, prompted with the shape's box in each plane, joined with the supports' shapes and intensities.
    case liteMedSAM = "lite-medsam"
    /// MedSAM's and SAM's ViT-B, prompted as LiteMedSAM is and taken at their word, once their weights are imported. Slow.
    case medsamViTB = "medsam-vit-b", samViTB = "sam-vit-b"
    /// The supports' mean shape alone.
    case shape
    /// The localised box, filled.
    case box

    /// The networks that it runs in any case.
    public var networks: [ContouringNetwork] {
        switch self {
        case .trained: [.segmenterHN]
        case .liteMedSAM: [.liteMedSAM]
        case .medsamViTB: [.medsamViTB]
        case .samViTB: [.samViTB]
        case .shape, .box: []
        }
    }
}

/// Finds structures in a scan.
protocol StructureLocaliser: Sendable {
    /// Each structure's place by name, none for what it knows nothing of; the same volume and seed give the same places.
    func localise(_ volume: WorkingVolume, seed: UInt64, progress: @escaping Progress) throws -> [String: PlacedStructure]
}

/// Makes masks of structures that were found.
protocol StructureSegmenter: Sendable {
    /// Masks on `volume`'s own grid, by name; none for a structure of which nothing is seen. `working` is the same scan.
    func segment(_ volume: Volume, _ working: WorkingVolume, _ structures: [String: PlacedStructure], progress: @escaping Progress) throws -> [String: SegmentedStructure]
}
