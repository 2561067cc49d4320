import Foundation
import ImagingGeometry
import ModelRuntime

/// Draws the structures that a network was trained on, all at once, around where the localiser places them.
///
/// The network (Training/segmenter) is a 3D U-Net on the working grid: scan [N, 1, 48, 64, 64] to logits [N, structures, 48, 64, 64].
/// Windows overlap by half, and each is seen in a mirror as well: the mean of both is better than either, and their difference tells
/// how stable a mask is. Structures that it was not trained on go to another segmenter.
struct TrainedSegmenter: StructureSegmenter {
    let network: any Model
    /// The structures of the network's channels, by TG-263 name.
    let structures: [String]
    /// Nil where every structure of the template set is one of the network's.
    var others: (any StructureSegmenter)?
    var threads = 1

    /// A window in voxels, along i, j, k.
    static let window = SIMD3(64, 64, 48)
    /// The network looks so far around the structures' boxes: it needs to see where they end, and what lies beside them.
    static let marginMM = 36.0
    /// Nothing farther than this outside a structure's box is part of it. The network errs less than the localiser, whose boxes were up to
    /// 30 mm off in validation: a limit that they can be held to loses more masks than it mends.
    static let reachMM = 36.0

    func segment(_ volume: Volume, _ working: WorkingVolume, _ placed: [String: PlacedStructure], progress: @escaping Progress) throws -> [String: SegmentedStructure] {
        let known = placed.filter { structures.contains($0.key) }, unknown = placed.filter { !structures.contains($0.key) }
        let share = Double(known.count) / Double(max(1, placed.count))
        let drawn = try drawn(known, in: working, on: volume.geometry) { progress(share * $0) }
        guard let others, !unknown.isEmpty else { return drawn }
        return try others.segment(volume, working, unknown) { progress(share + (1 - share) * $0) }.merging(drawn) { $1 }
    }

    private func drawn(_ placed: [String: PlacedStructure], in working: WorkingVolume, on geometry: VolumeGeometry, progress: @escaping Progress) throws -> [String: SegmentedStructure] {
        let around = Bounds(placed.values.flatMap { [$0.bounds.low, $0.bounds.high] })?.expanded(byMM: Self.marginMM)
        guard let box = around.flatMap({ working.geometry.voxels(within: $0) }) else { return [:] }
        let corners = Self.corners(covering: box)
        let answers = try concurrentMap(corners, threads: threads, progress: progress) { try answer(working, at: $0) }
        return try Dictionary(uniqueKeysWithValues: concurrentMap(placed.keys.sorted(), threads: threads) { name in
            let n = structures.firstIndex(of: name)!
            var field = DrawnField(box: box, geometry: working.geometry)
            for (corner, answer) in zip(corners, answers) { field.add(plain: answer.plain[n], mirrored: answer.mirrored[n], at: corner) }
            return (name, field.structure(placed[name]!, on: geometry))
        }).compactMapValues { $0 }
    }

    /// Where windows begin so that they cover a box with half a window in common; one larger than the box is centred on it.
    static func corners(covering box: VoxelBox) -> [SIMD3<Int>] {
        func starts(_ axis: Int) -> [Int] {
            let slack = box.size[axis] - window[axis]
            guard slack > 0 else { return [box.lower[axis] + slack / 2] }
            let steps = (2 * slack + window[axis] - 1) / window[axis]
            return (0...steps).map { box.lower[axis] + slack * $0 / steps }
        }
        return starts(2).flatMap { z in starts(1).flatMap { y in starts(0).map { x in SIMD3(x, y, z) } } }
    }

    /// How likely each voxel of a window is inside each structure, as it stands and as seen in a mirror; axes (z, y, x) of the network.
    private func answer(_ working: WorkingVolume, at corner: SIMD3<Int>) throws -> (plain: [[Float]], mirrored: [[Float]]) {
        let values = working.values(from: corner, size: Self.window)
        let plain = try likely(values)
        let mirrored = try likely(Self.mirror(values)).map(Self.mirror)
        return (plain, structures.enumerated().map { n, name in mirrored[structures.firstIndex(of: Self.opposite(name)) ?? n] })
    }

    private func likely(_ values: [Float]) throws -> [[Float]] {
        let shape = [1, 1, Self.window.z, Self.window.y, Self.window.x], count = values.count
        guard let logits = try network(["scan": Tensor(shape: shape, values: values)])["logits"]?.values, logits.count == structures.count * count else {
            throw MedLSAMError(.modelAnswerUnusable, "The segmenter gave no logit for each voxel of \(structures.count) structures.")
        }
        return structures.indices.map { n in logits[n * count..<(n + 1) * count].map { 1 / (1 + exp(-$0)) } }
    }

    /// Rows along x turned round.
    static func mirror(_ values: [Float]) -> [Float] {
        var result = values
        for row in stride(from: 0, to: values.count, by: window.x) { result[row..<row + window.x].reverse() }
        return result
    }

    /// The other side's structure, by TG-263's ending.
    static func opposite(_ name: String) -> String {
        name.hasSuffix("_L") ? name.dropLast() + "R" : name.hasSuffix("_R") ? name.dropLast() + "L" : name
    }
}

/// How likely the voxels of a box of the working grid are inside one structure: where windows overlap their mean, a window's middle counting more.
private struct DrawnField {
    let box: VoxelBox
    let geometry: VolumeGeometry
    private var plain: [Float], mirrored: [Float], weights: [Float]

    init(box: VoxelBox, geometry: VolumeGeometry) {
        self.box = box
        self.geometry = geometry
        plain = [Float](repeating: 0, count: box.size.x * box.size.y * box.size.z)
        (mirrored, weights) = (plain, plain)
    }

    mutating func add(plain: [Float], mirrored: [Float], at corner: SIMD3<Int>) {
        let window = TrainedSegmenter.window
        func ramp(_ at: Int, _ edge: Int) -> Float { Float(min(at, edge - 1 - at) + 1) }
        for z in 0..<window.z {
            for y in 0..<window.y {
                // The network's rows run to Anterior, the grid's to Posterior.
                let index = corner &+ SIMD3(0, window.y - 1 - y, z) &- box.lower
                guard (0..<box.size.y).contains(index.y), (0..<box.size.z).contains(index.z) else { continue }
                let row = (z * window.y + y) * window.x, target = (index.z * box.size.y + index.y) * box.size.x + index.x
                for x in max(0, -index.x)..<min(window.x, box.size.x - index.x) {
                    let weight = ramp(x, window.x) * ramp(y, window.y) * ramp(z, window.z)
                    self.plain[target + x] += weight * plain[row + x]
                    self.mirrored[target + x] += weight * mirrored[row + x]
                    weights[target + x] += weight
                }
            }
        }
    }

    /// What it comes to on a grid: the voxels that are likelier inside than not, in one piece and without holes.
    func structure(_ placed: PlacedStructure, on target: VolumeGeometry) -> SegmentedStructure? {
        guard let part = target.voxels(within: placed.bounds.expanded(byMM: TrainedSegmenter.reachMM)) else { return nil }
        let sampler = TrilinearSampler(size: box.size, values: zip(zip(plain, mirrored), weights).map { ($0.0 + $0.1) / 2 / max($1, 1) }[...])
        let last = SIMD3<Double>(box.size &- 1)
        let joined = SegmentedStructure.joined(part, on: target) { position in
            let index = geometry.patientToIndex(position) - SIMD3<Double>(box.lower), clamped = index.clamped(lowerBound: .zero, upperBound: last)
            guard length(index - clamped) < 1 else { return nil }
            let likely = min(max(Double(sampler.value(at: clamped)), 1e-4), 1 - 1e-4)
            return SegmentedStructure.softnessMM * log(likely / (1 - likely))
        }
        guard let (mask, probabilities) = joined else { return nil }
        var drawn = 0, shape = 0, both = 0, expected = (inside: 0.0, all: 0.0), at = 0
        for k in part.lower.z...part.upper.z {
            for j in part.lower.y...part.upper.y {
                for i in part.lower.x...part.upper.x {
                    let likely = Double(probabilities.voxels.values[at]) / 255, index = SIMD3(i, j, k)
                    let isDrawn = mask.voxels[target.offset(index)] != 0, isShape = placed.distance(at: target.indexToPatient(SIMD3<Double>(index))) > 0
                    (drawn, shape, both) = (drawn + (isDrawn ? 1 : 0), shape + (isShape ? 1 : 0), both + (isDrawn && isShape ? 1 : 0))
                    expected = (expected.inside + (isDrawn ? likely : 0), expected.all + likely)
                    at += 1
                }
            }
        }
        return SegmentedStructure(
            mask: mask, probabilities: probabilities, predictedIoU: nil, agreement: 2 * Double(both) / Double(drawn + shape),
            expectedDice: 2 * expected.inside / (Double(drawn) + expected.all), stability: stability)
    }

    /// Dice of what the network draws as it stands and in a mirror; 0 where it draws nothing.
    private var stability: Double {
        var both = 0, all = 0
        for n in weights.indices {
            let first = plain[n] > weights[n] / 2, second = mirrored[n] > weights[n] / 2
            all += (first ? 1 : 0) + (second ? 1 : 0)
            if first && second { both += 1 }
        }
        return 2 * Double(both) / Double(max(1, all))
    }
}
