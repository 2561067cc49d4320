import ImagingGeometry

/// The places of known masks: what the best localiser would find. For evaluation.
struct GivenLocaliser: StructureLocaliser {
    /// On any grids, by name.
    let masks: [String: Mask]

    func localise(_ volume: WorkingVolume, seed: UInt64, progress: @escaping Progress) throws -> [String: PlacedStructure] {
        masks.compactMapValues { PlacedStructure($0) }
    }
}

extension PlacedStructure {
    /// A known mask's place and its own shape; nil for an empty mask.
    init?(_ mask: Mask) {
        guard let points = ExtremePoints(mask)?.points else { return nil }
        self.init(points: points, similarity: nil, shapes: [(DistanceField(mask, around: Bounds(points)!), .identity)])
    }
}
