import ImagingGeometry

/// Decides what is given out, and how sure of it the node is.
///
/// Calibrated on 33 OpenKBP validation patients: similarity and fit tell good masks from bad ones (rank correlation of
/// confidence and Dice 0.6); the supports' spread and the latent residual do not. Half of the masks with a Dice under
/// 0.5 are withheld, and none over 0.75.
struct Judge: Sendable {
    let templates: TemplateSet
    let volume: WorkingVolume

    /// A structure counts as in the field of view when at least this share of its points lies in the scan.
    static let visibleShare = 0.5
    /// A structure that is less like the supports' than this is not worth segmenting, relative to what supports reach among themselves.
    static let leastLikeness = 0.8
    /// A scan in which no structure is as similar as this shows another part of the body (an abdomen reaches 0.78).
    static let regionSimilarity = 0.82

    /// The structures to segment: those that lie in the scan and do not look altogether unlike the supports.
    func worthSegmenting(_ placed: [String: PlacedStructure]) -> [String: PlacedStructure] {
        guard isRegionShown(placed) else { return [:] }
        return placed.filter { isInFieldOfView($1) && (likeness($0, $1) ?? 1) > Self.leastLikeness }
    }

    /// The structures that lie in the scan and are not worth segmenting but to judge whether withholding them was right.
    func doubtful(_ placed: [String: PlacedStructure]) -> [String: PlacedStructure] {
        let worth = worthSegmenting(placed)
        return placed.filter { isInFieldOfView($1) && worth[$0] == nil }
    }

    func outcome(_ definition: StructureDefinition, _ all: [String: PlacedStructure], _ segmented: SegmentedStructure?) -> StructureOutcome {
        let placed = all[definition.name]
        func outcome(_ state: StructureState, _ confidence: Double?, _ evidence: [Evidence: Double] = [:]) -> StructureOutcome {
            let given = state == .segmented ? segmented : nil
            return StructureOutcome(definition: definition, state: state, confidence: confidence, isCutOff: given.map { isCutOff($0.mask) } ?? false, mask: given?.mask, probabilities: given?.probabilities,
                                    boxLPS: placed?.bounds, withheldMask: given == nil ? segmented?.mask : nil, evidence: evidence)
        }
        guard let placed, isInFieldOfView(placed), isRegionShown(all) else { return outcome(.notInFieldOfView, nil) }
        let evidence = evidence(definition.name, placed, segmented)
        guard segmented != nil else { return outcome(.withheld(reason: "nothing was segmented in its box"), 0, evidence) }
        let confidence = (Evidence.confidence(evidence) * 100).rounded() / 100
        guard confidence >= templates.leastConfidence?[definition.name] ?? Evidence.leastConfidence(evidence) else {
            return outcome(.withheld(reason: Evidence.gravestDoubt(evidence)), confidence, evidence)
        }
        return outcome(.segmented, confidence, evidence)
    }

    /// Whether a mask reaches the last voxels of its grid, or of what of it was scanned.
    private func isCutOff(_ mask: Mask) -> Bool {
        guard let box = mask.boundingBox else { return false }
        let ends = [box.lower, box.upper].map { mask.geometry.indexToPatient(SIMD3<Double>($0)).z }, near = WorkingVolume.spacingMM
        return any(box.lower .== 0) || any(box.upper .== mask.geometry.size &- 1)
            || ends.min()! < volume.scanned.low.z + near || ends.max()! > volume.scanned.high.z - near
    }

    private func isInFieldOfView(_ structure: PlacedStructure) -> Bool { visibleShare(structure) >= Self.visibleShare }

    /// Whether any structure in the scan's bounds looks like the supports': in another part of the body none does.
    private func isRegionShown(_ placed: [String: PlacedStructure]) -> Bool {
        placed.contains { isInFieldOfView($1) && (likeness($0, $1) ?? 1) > Self.regionSimilarity }
    }

    private func visibleShare(_ structure: PlacedStructure) -> Double {
        Double(structure.points.filter(volume.contains).count) / Double(structure.points.count)
    }

    /// Similarity relative to what supports reach among themselves; nil where the localiser measures none.
    private func likeness(_ name: String, _ structure: PlacedStructure) -> Double? {
        structure.similarity.map { $0 / max(templates.typicalSimilarity[name] ?? 1, 1e-9) }
    }

    /// What confidence is made of; what the method does not measure is left out.
    func evidence(_ name: String, _ placed: PlacedStructure, _ segmented: SegmentedStructure?) -> [Evidence: Double] {
        let all: [Evidence: Double?] = [
            .likeness: likeness(name, placed), .fit: fit(name, placed), .visibleShare: visibleShare(placed), .boxSize: plausibility(name, placed.bounds),
            .predictedIoU: segmented?.predictedIoU, .agreement: segmented?.agreement, .expectedDice: segmented?.expectedDice, .stability: segmented?.stability,
        ]
        return all.compactMapValues { $0 }
    }

    /// How much better intensities fit inside the mean shape than just outside, relative to the supports' own.
    private func fit(_ name: String, _ placed: PlacedStructure) -> Double {
        guard let contrast = templates.contrasts[name] else { return 1 }
        var inside = (sum: 0.0, count: 0.0), outside = inside
        let grid = placed.bounds.expanded(byMM: Contrast.ringMM), step = WorkingVolume.spacingMM
        for z in stride(from: grid.low.z, through: grid.high.z, by: step) {
            for y in stride(from: grid.low.y, through: grid.high.y, by: step) {
                for x in stride(from: grid.low.x, through: grid.high.x, by: step) {
                    let position = SIMD3(x, y, z), distance = placed.distance(at: position)
                    guard distance > -Contrast.ringMM, volume.contains(position) else { continue }
                    let ratio = contrast.logRatio(volume.intensity(at: position))
                    if distance > 0 { inside = (inside.sum + ratio, inside.count + 1) } else { outside = (outside.sum + ratio, outside.count + 1) }
                }
            }
        }
        return (inside.sum / max(1, inside.count) - outside.sum / max(1, outside.count)) / max(contrast.separation, 1e-9)
    }

    /// How well a box's size fits those of the supports: the worst axis's ratio to the nearest of them, at most 1.
    private func plausibility(_ name: String, _ bounds: Bounds) -> Double {
        let sizes = templates.supports.compactMap { $0[name] }.map { Bounds($0.points)!.extent }
        return (0..<3).map { axis in
            let low = sizes.map { $0[axis] }.min()!, high = sizes.map { $0[axis] }.max()!, size = bounds.extent[axis]
            return size < low ? size / low : size > high ? high / size : 1
        }.min()!
    }
}
