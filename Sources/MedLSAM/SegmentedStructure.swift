import Foundation
import ImagingGeometry

/// A structure's mask and how the network judged it.
struct SegmentedStructure: Sendable {
    let mask: Mask
    /// How likely each voxel is inside; the mask are those from `ProbabilityMap.inside` on.
    let probabilities: ProbabilityMap
    /// The network's own estimate of its masks' overlap with the truth, 0 to 1; nil where it makes none.
    let predictedIoU: Double?
    /// Dice of the network's mask alone with the supports' mean shape; nil where no network took part.
    let agreement: Double?
    /// Dice with the truth that the probabilities lead one to expect, 0 to 1; nil where they are not a network's.
    var expectedDice: Double?
    /// Dice of what the network draws of the scan and of its mirror image; nil where it saw only one.
    var stability: Double?

    /// Nothing farther than this outside the mean shape is part of a structure, mm.
    static let reachMM = 8.0
    /// How many mm of a voxel's score make it e times as likely to be inside as outside: half a plane step, which is how far from
    /// the surface the planes leave a voxel in doubt.
    static let softnessMM = 1.25

    /// What voxels' scores come to: the mask in one piece, without holes, and its probabilities; nil where nothing is inside.
    ///
    /// `scoreMM` gives for a position (LPS mm) how deep inside it lies, positive inside, or nil for what is outside for sure.
    static func joined(_ box: VoxelBox, on geometry: VolumeGeometry, scoreMM: (SIMD3<Double>) -> Double?) -> (mask: Mask, probabilities: ProbabilityMap)? {
        var mask = Mask(empty: geometry), likely = [UInt8](repeating: 0, count: box.size.x * box.size.y * box.size.z), at = 0
        for k in box.lower.z...box.upper.z {
            for j in box.lower.y...box.upper.y {
                for i in box.lower.x...box.upper.x {
                    if let score = scoreMM(geometry.indexToPatient([Double(i), Double(j), Double(k)])) { likely[at] = probability(ofScoreMM: score) }
                    if likely[at] >= ProbabilityMap.inside { mask.voxels[geometry.offset([i, j, k])] = 1 }
                    at += 1
                }
            }
        }
        let whole = mask.largestComponent().fillingHolesPerSlice()
        guard !whole.isEmpty else { return nil }
        return (whole, ProbabilityMap(geometry: geometry, voxels: BoxedVoxels(size: geometry.size, box: box, values: likely)).agreeing(with: whole))
    }

    /// The probability of a voxel's score, 0 to 255: logistic, at least `ProbabilityMap.inside` exactly where the score is positive.
    static func probability(ofScoreMM score: Double) -> UInt8 {
        let half = Double(ProbabilityMap.inside), doubt = half / (1 + exp(score.magnitude / softnessMM))
        return UInt8(score > 0 ? max(half, (2 * half - 1 - 2 * doubt).rounded()) : min(half - 1, (2 * doubt).rounded()))
    }
}

extension ProbabilityMap {
    /// The map where a mask overrules it: what the mask takes in is at least `inside`, what it leaves out less, by no more than that needs.
    func agreeing(with mask: Mask) -> ProbabilityMap {
        precondition(mask.geometry == geometry)
        var voxels = voxels, at = 0
        for k in voxels.box.lower.z...voxels.box.upper.z {
            for j in voxels.box.lower.y...voxels.box.upper.y {
                for i in voxels.box.lower.x...voxels.box.upper.x {
                    let value = voxels.values[at]
                    voxels.values[at] = mask.voxels[geometry.offset([i, j, k])] == 0 ? min(value, Self.inside - 1) : max(value, Self.inside)
                    at += 1
                }
            }
        }
        return ProbabilityMap(geometry: geometry, voxels: voxels)
    }
}

extension VolumeGeometry {
    /// The voxels whose centres may lie within a box in patient space; nil when it misses the grid.
    func voxels(within bounds: Bounds) -> VoxelBox? {
        let corners = (0..<8).map { corner in
            patientToIndex([corner & 1 == 0 ? bounds.low.x : bounds.high.x, corner & 2 == 0 ? bounds.low.y : bounds.high.y,
                            corner & 4 == 0 ? bounds.low.z : bounds.high.z])
        }
        let around = Bounds(corners)!
        let lower = pointwiseMax(SIMD3<Int>(around.low, rounding: .up), .zero), upper = pointwiseMin(SIMD3<Int>(around.high, rounding: .down), size &- 1)
        return all(lower .<= upper) ? VoxelBox(lower: lower, upper: upper) : nil
    }
}
