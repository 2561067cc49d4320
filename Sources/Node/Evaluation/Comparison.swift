import ImagingGeometry
import MedLSAM

/// Compares what was found of a structure with what the clinician drew.
struct Comparison {
    /// Structures whose clinical contours stop at arbitrary slices.
    static let openEnded: Set<String> = ["SpinalCord", "Esophagus"]
    /// Of surface Dice (shared protocol; Nikolov et al. 2021 use 1 to 3 mm for head and neck organs).
    static let toleranceMM = 3.0

    let outcome: StructureOutcome
    /// The mask as others read it; nil unless given out.
    let givenOut: Mask?
    /// The clinician's, not empty.
    let drawn: Mask

    /// The scores, for openly ending structures over both extents.
    func scores() -> [StructureScore] {
        let extents: [StructureScore.Extent] = Self.openEnded.contains(outcome.definition.name) ? [.whole, .contouredSlices] : [.whole]
        return extents.map(score)
    }

    private func score(_ extent: StructureScore.Extent) -> StructureScore {
        let (state, reason) = outcome.state.reported
        let truth = Bounds(of: drawn)!, step = 2 * drawn.geometry.halfVoxelLPS
        var found = givenOut ?? outcome.withheldMask, box = outcome.boxLPS
        if extent == .contouredSlices {
            found = found?.within(slicesOf: drawn)
            box = box?.cut(to: truth, along: drawn.geometry.sliceIndexDirection)
        }
        return StructureScore(
            name: outcome.definition.name, extent: extent, state: state, reason: reason, confidence: outcome.confidence,
            evidence: Dictionary(uniqueKeysWithValues: outcome.evidence.map { ($0.key.rawValue, $0.value) }), box: box.map { StructureScore.BoxScore($0, truth) }, mask: found.map { StructureScore.MaskScore($0, drawn, truth) },
            oneVoxelOut: truth.iou(Bounds(low: truth.low - step, high: truth.high + step)),
            oneVoxelIn: truth.iou(Bounds(low: truth.low + step, high: truth.high - step)))
    }
}

extension StructureScore.BoxScore {
    init(_ box: Bounds, _ truth: Bounds) { self.init(iou: box.iou(truth), wallDistanceMM: box.wallDistanceMM(truth)) }
}

extension StructureScore.MaskScore {
    init(_ found: Mask, _ drawn: Mask, _ truth: Bounds) {
        let surfaces = SurfaceDistances(found, drawn)
        self.init(dice: found.dice(drawn) ?? 0, hd95MM: surfaces?.hausdorffMM(), surfaceDice: surfaces?.dice(toleranceMM: Comparison.toleranceMM),
                  box: Bounds(of: found).map { StructureScore.BoxScore($0, truth) })
    }
}

extension Mask {
    /// What of it lies in slices where another mask has something.
    fileprivate func within(slicesOf other: Mask) -> Mask {
        var result = self
        let plane = geometry.size.x * geometry.size.y
        for k in 0..<geometry.size.z where !other.voxels[k * plane..<(k + 1) * plane].contains(1) {
            result.voxels.replaceSubrange(k * plane..<(k + 1) * plane, with: repeatElement(0, count: plane))
        }
        return result
    }
}

extension Bounds {
    /// What of it lies within another box along the patient's axis nearest to a direction; all of it where that is nothing.
    fileprivate func cut(to other: Bounds, along direction: SIMD3<Double>) -> Bounds {
        let axis = (0..<3).max { direction[$0].magnitude < direction[$1].magnitude }!
        var result = self
        result.low[axis] = max(low[axis], other.low[axis])
        result.high[axis] = min(high[axis], other.high[axis])
        return result.low[axis] < result.high[axis] ? result : self
    }
}
