import ImagingGeometry

/// Decides what is given out, and how sure of it the node is.
struct Judge: Sendable {
    let templates: TemplateSet
    let volume: WorkingVolume

    /// A structure counts as in the field of view when at least this share of its points lies in the scan.
    static let visibleShare = 0.5
    /// Each ingredient of confidence runs from 0 at the first value to 1 at the second.
    static let similarityRange = (0.55, 0.95)
    static let spreadRangeMM = (15.0, 3.0)
    static let sizeRange = (0.4, 0.85)
    static let agreementRange = (0.1, 0.6)
    static let fillRange = (0.25, 0.75)
    /// Below this confidence a contour is withheld.
    static let leastConfidence = 0.3

    func isInFieldOfView(_ structure: PlacedStructure) -> Bool {
        Double(structure.points.filter(volume.contains).count) >= Self.visibleShare * Double(structure.points.count)
    }

    func outcome(_ definition: StructureDefinition, placed: PlacedStructure?, segmented: SegmentedStructure?) -> StructureOutcome {
        func outcome(_ state: StructureState, _ confidence: Double?, _ mask: Mask? = nil) -> StructureOutcome {
            StructureOutcome(definition: definition, state: state, confidence: confidence, mask: mask, boxLPS: placed?.bounds)
        }
        guard let placed, isInFieldOfView(placed) else { return outcome(.notInFieldOfView, nil) }
        guard let segmented else { return outcome(.withheld(reason: "nothing was segmented in its box"), 0) }
        let ingredients = ingredients(definition.name, placed, segmented)
        let confidence = ingredients.reduce(1) { $0 * $1.value }
        let rounded = (power(confidence, 1 / Double(ingredients.count)) * 100).rounded() / 100
        let weakest = ingredients.min { $0.value < $1.value }!
        guard rounded >= Self.leastConfidence else { return outcome(.withheld(reason: weakest.doubt), rounded) }
        return outcome(.segmented, rounded, segmented.mask)
    }

    /// What confidence is made of: each 0 to 1, with the doubt that it raises when low.
    func ingredients(_ name: String, _ placed: PlacedStructure, _ segmented: SegmentedStructure) -> [(value: Double, doubt: String)] {
        let shape = placed.volumeML(of: placed.bounds), mask = segmented.mask.volumeML
        let fill = min(shape, mask) / max(shape, mask, 1e-9)
        return [
            (Self.ramp(placed.similarity / max(templates.typicalSimilarity[name] ?? 1, 1e-9), Self.similarityRange),
             "the scan looks little like the supports there"),
            (Self.ramp(placed.spreadMM, Self.spreadRangeMM), "the supports disagree on its place"),
            (Self.ramp(plausibility(name, placed.bounds), Self.sizeRange), "its box is not of the supports' size"),
            (Self.ramp(segmented.agreement, Self.agreementRange), "the network's mask does not fit the supports' shape"),
            (Self.ramp(fill, Self.fillRange), "its volume does not fit its box"),
        ]
    }

    /// How well a box's size fits those of the supports: the worst axis's ratio to the nearest of them, at most 1.
    private func plausibility(_ name: String, _ bounds: Bounds) -> Double {
        let sizes = templates.supports.compactMap { $0[name] }.map { Bounds($0.points)!.extent }
        return (0..<3).map { axis in
            let low = sizes.map { $0[axis] }.min()!, high = sizes.map { $0[axis] }.max()!, size = bounds.extent[axis]
            return size < low ? size / low : size > high ? high / size : 1
        }.min()!
    }

    static func ramp(_ value: Double, _ range: (Double, Double)) -> Double {
        min(max((value - range.0) / (range.1 - range.0), 0), 1)
    }
}

extension PlacedStructure {
    /// Volume of the mean shape, in millilitres.
    func volumeML(of bounds: Bounds) -> Double {
        let step = WorkingVolume.spacingMM
        var count = 0
        for z in stride(from: bounds.low.z, through: bounds.high.z, by: step) {
            for y in stride(from: bounds.low.y, through: bounds.high.y, by: step) {
                for x in stride(from: bounds.low.x, through: bounds.high.x, by: step) where distance(at: [x, y, z]) > 0 { count += 1 }
            }
        }
        return Double(count) * step * step * step / 1000
    }
}
