import ImagingGeometry

/// Makes masks without a network: the supports' mean shape, or the localised box. What a network must beat.
struct PlainSegmenter: StructureSegmenter {
    enum Filling { case shape, box }
    let filling: Filling

    func segment(_ volume: Volume, _ working: WorkingVolume, _ structures: [String: PlacedStructure], progress: @escaping Progress) throws -> [String: SegmentedStructure] {
        structures.compactMapValues { filled($0, on: volume.geometry) }
    }

    private func filled(_ structure: PlacedStructure, on geometry: VolumeGeometry) -> SegmentedStructure? {
        let bounds = structure.bounds
        guard let box = geometry.voxels(within: bounds.expanded(byMM: SegmentedStructure.reachMM)) else { return nil }
        return SegmentedStructure.joined(box, on: geometry) { position in
            switch filling {
            case .shape: structure.distance(at: position)
            case .box: min((position - bounds.low).min(), (bounds.high - position).min())
            }
        }.map { SegmentedStructure(mask: $0.mask, probabilities: $0.probabilities, predictedIoU: nil, agreement: nil) }
    }
}
