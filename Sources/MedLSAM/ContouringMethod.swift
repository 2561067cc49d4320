import ImagingGeometry

/// How a scan is contoured: what finds the structures, and what cuts them out.
public struct ContouringMethod: Codable, Hashable, Sendable {
    public var localiser: LocaliserChoice
    public var segmenter: SegmenterChoice

    public init(localiser: LocaliserChoice = .medlam, segmenter: SegmenterChoice = .trained) {
        self.localiser = localiser
        self.segmenter = segmenter
    }
}

/// What finds the structures of a template set in a scan.
public enum LocaliserChoice: String, Codable, CaseIterable, Sendable {
    /// Latent jumps and shared features of MedLAM, held together by warps.
    case medlam
    /// The places of known masks, for evaluation only: the clinician's.
    case given

    /// Whether it runs the MedLAM that the template set was made with.
    public var needsMedLAM: Bool { self == .medlam }
}

/// What makes masks of found structures.
public enum SegmenterChoice: String, Codable, CaseIterable, Sendable {
    /// The network trained on the template set's kind of structures; those that it was not trained on go to LiteMedSAM.
    case trained
    /// LiteMedSAM, prompted with the shape's box in each plane, joined with the supports' shapes and intensities.
    case liteMedSAM = "lite-medsam"
    /// The supports' mean shape alone.
    case shape
    /// The localised box, filled.
    case box

    /// The networks that it runs in any case.
    public var networks: [ContouringNetwork] {
        switch self {
        case .trained: [.segmenterHN]
        case .liteMedSAM: [.liteMedSAM]
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

/// Where a structure was found.
struct PlacedStructure: Sendable {
    /// Its extreme points (see `ExtremePoints`), LPS mm, as the supports agree on them.
    let points: [SIMD3<Double>]
    /// Mean similarity of its points' matches, -1 to 1; nil where the localiser matches nothing.
    let similarity: Double?
    /// Each support's shape, and the map from the query's space to the support's.
    let shapes: [(field: DistanceField, toSupport: Warp)]

    /// Box of the whole structure.
    var bounds: Bounds { Bounds(points)! }

    /// How far inside the structure a position lies by the mean of the supports' shapes, mm.
    func distance(at positionLPS: SIMD3<Double>) -> Double {
        shapes.reduce(0) { $0 + $1.field.distance(at: $1.toSupport(positionLPS)) } / Double(shapes.count)
    }
}
