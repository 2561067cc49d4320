import ImagingGeometry
import ModelRuntime

/// What MedLAM's features say of one point: a unit vector a level, from quarter to full size.
struct Descriptor: Sendable, Equatable {
    /// Levels in the order of the network's outputs, and how many full-size voxels one of each level's spans.
    static let shrinks = [4, 2, 1]

    var levels: [[Float]]

    init(levels: [[Float]]) { self.levels = levels }

    /// The mean direction of some, a level.
    init(meanOf some: [Descriptor]) {
        levels = some[0].levels.indices.map { level in
            unit(some.dropFirst().reduce(some[0].levels[level]) { zip($0, $1.levels[level]).map(+) })
        }
    }
}

/// Where a descriptor fits best.
struct Match: Sendable {
    let positionLPS: SIMD3<Double>
    /// Mean cosine over the levels, -1 to 1.
    let similarity: Double
}

/// MedLAM's features over a region of a scan: a few patches, each computed once and shared by all points in it.
struct FeatureField: Sendable {
    /// Distance between patches along z: each 192 mm patch then shows every point well away from its border.
    static let strideMM = 96.0
    /// Reach of a match that leaves out nothing of a patch.
    static let wholePatchMM = Double(WorkingVolume.patchEdge) * WorkingVolume.spacingMM

    private struct Block: Sendable {
        let patch: Patch
        let maps: [FeatureMap]
    }

    private let volume: WorkingVolume
    private let blocks: [Block]

    /// Computes the features of a column of patches that covers the given positions.
    init(_ volume: WorkingVolume, covering positions: [SIMD3<Double>], model: any Model, threads: Int = 1, progress: @escaping Progress = { _ in }) throws {
        try self.init(volume, centres: Self.column(covering: positions), model: model, threads: threads, progress: progress)
    }

    /// Computes the features of the patches around some positions.
    init(_ volume: WorkingVolume, centres: [SIMD3<Double>], model: any Model, threads: Int = 1, progress: @escaping Progress = { _ in }) throws {
        self.volume = volume
        blocks = try concurrentMap(centres, threads: threads, progress: progress) { centre in
            let patch = volume.patch(around: centre)
            let answer = try model(["patch": patch.tensor])
            return Block(patch: patch.withoutValues, maps: try Descriptor.shrinks.indices.map { try FeatureMap(answer, level: $0) })
        }
    }

    /// Centres of patches along the body's axis, each in the middle of the positions near it.
    static func column(covering positions: [SIMD3<Double>]) -> [SIMD3<Double>] {
        guard let all = Bounds(positions) else { return [] }
        let count = max(1, Int((all.extent.z / strideMM).rounded(.up))), step = all.extent.z / Double(count)
        return (0..<count).map { n in
            let z = all.low.z + (Double(n) + 0.5) * step
            var centre = (Bounds(positions.filter { abs($0.z - z) <= max(step / 2, 30) }) ?? all).centre
            centre.z = z
            return centre
        }
    }

    /// The block in which a position lies most centrally, and its voxel there; nil outside all of them.
    private func block(at positionLPS: SIMD3<Double>) -> (block: Block, voxel: SIMD3<Double>)? {
        var best: (Block, SIMD3<Double>)?, depth = 0.0
        let last = Double(WorkingVolume.patchEdge - 1)
        for block in blocks {
            let voxel = block.patch.voxel(at: positionLPS)
            let here = min(voxel.min(), last - voxel.max())
            if here > depth { (best, depth) = ((block, voxel), here) }
        }
        return best
    }

    /// The descriptor of a position; nil outside the region.
    func descriptor(at positionLPS: SIMD3<Double>) -> Descriptor? {
        guard let (block, voxel) = block(at: positionLPS) else { return nil }
        return Descriptor(levels: block.maps.map { unit($0.vector(at: voxel)) })
    }

    /// The best place of a descriptor within a cube around a position; nil for a position outside the region or scan,
    /// whose match could only be drawn into it.
    func match(_ descriptor: Descriptor, near positionLPS: SIMD3<Double>, reachMM: Double) -> Match? {
        guard volume.contains(positionLPS), let (block, voxel) = block(at: positionLPS) else { return nil }
        let middle = SIMD3<Int>(voxel, rounding: .toNearestOrEven), reach = Int(reachMM / WorkingVolume.spacingMM)
        let inScan = block.patch.voxels(within: volume)
        let low = pointwiseMax(middle &- reach, inScan.low), high = pointwiseMin(middle &+ reach, inScan.high)
        guard all(high .>= low &+ 2) else { return nil }
        let size = high &- low &+ 1
        var sum = [Float](repeating: 0, count: size.x * size.y * size.z)
        for (map, vector) in zip(block.maps, descriptor.levels) { map.addSimilarity(to: vector, low: low, size: size, into: &sum) }

        let best = sum.indices.max { sum[$0] < sum[$1] }!
        let at = SIMD3(best % size.x, best / size.x % size.y, best / (size.x * size.y))
        let peak = SIMD3<Double>(low &+ at) + Self.vertex(of: sum, size: size, at: at)
        return Match(positionLPS: block.patch.positionLPS(ofVoxel: peak), similarity: Double(sum[best]) / Double(descriptor.levels.count))
    }

    /// Offset from a maximum's voxel to the vertex of the parabola through it and its neighbours, an axis at a time.
    private static func vertex(of values: [Float], size: SIMD3<Int>, at: SIMD3<Int>) -> SIMD3<Double> {
        let strides = SIMD3(1, size.x, size.x * size.y), offset = (at &* strides).wrappedSum()
        var vertex = SIMD3<Double>.zero
        for axis in 0..<3 where at[axis] > 0 && at[axis] < size[axis] - 1 {
            let a = values[offset - strides[axis]], b = values[offset], c = values[offset + strides[axis]]
            if a - 2 * b + c < 0 { vertex[axis] = Double(0.5 * (a - c) / (a - 2 * b + c)) }
        }
        return vertex
    }
}

/// One level of a patch's features.
private struct FeatureMap: Sendable {
    let channels: Int
    /// Voxels along an edge, and full-size voxels that each spans.
    let edge: Int, shrink: Int
    /// Channel slowest, then z, y, x.
    let values: [Float]

    init(_ answer: [String: Tensor], level: Int) throws {
        shrink = Descriptor.shrinks[level]
        edge = WorkingVolume.patchEdge / shrink
        guard let tensor = answer["feature\(level)"], tensor.shape.count == 5, Array(tensor.shape[2...]) == [edge, edge, edge] else {
            throw MedLSAMError(.modelAnswerUnusable, "MedLAM gave no feature\(level) of \(WorkingVolume.patchEdge / Descriptor.shrinks[level]) voxels an edge.")
        }
        channels = tensor.shape[1]
        values = tensor.values
    }

    private var voxels: Int { edge * edge * edge }

    /// A full-size voxel index as this level's.
    private func scaled(_ voxel: Double) -> Double { min(max((voxel + 0.5) / Double(shrink) - 0.5, 0), Double(edge - 1)) }

    /// The features at a full-size voxel index (x, y, z), linearly interpolated.
    func vector(at voxel: SIMD3<Double>) -> [Float] {
        let index = SIMD3(scaled(voxel.x), scaled(voxel.y), scaled(voxel.z))
        return (0..<channels).map { c in
            TrilinearSampler(size: SIMD3(repeating: edge), values: values[c * voxels..<(c + 1) * voxels]).value(at: index)
        }
    }

    /// Adds the cosine with a unit vector, interpolated to full size, for each voxel of a window.
    func addSimilarity(to vector: [Float], low: SIMD3<Int>, size: SIMD3<Int>, into sum: inout [Float]) {
        let high = low &+ size &- 1
        func first(_ v: Int) -> Int { Int(scaled(Double(v)).rounded(.down)) }
        let a = SIMD3(first(low.x), first(low.y), first(low.z))
        let b = pointwiseMin(SIMD3(first(high.x), first(high.y), first(high.z)) &+ 1, SIMD3(repeating: edge - 1))
        let n = b &- a &+ 1
        let coarse = dots(vector, low: a, size: n)
        if shrink == 1 && n == size {
            for i in sum.indices { sum[i] += coarse[i] }
            return
        }
        let sampler = TrilinearSampler(size: n, values: coarse[...])
        var i = 0
        for z in 0..<size.z {
            for y in 0..<size.y {
                for x in 0..<size.x {
                    let at = SIMD3(scaled(Double(low.x + x)), scaled(Double(low.y + y)), scaled(Double(low.z + z))) - SIMD3<Double>(a)
                    sum[i] += sampler.value(at: at)
                    i += 1
                }
            }
        }
    }

    private func dots(_ vector: [Float], low: SIMD3<Int>, size: SIMD3<Int>) -> [Float] {
        var result = [Float](repeating: 0, count: size.x * size.y * size.z)
        values.withUnsafeBufferPointer { values in
            result.withUnsafeMutableBufferPointer { result in
                for c in 0..<channels {
                    let weight = vector[c]
                    for z in 0..<size.z {
                        for y in 0..<size.y {
                            let from = ((c &* edge &+ low.z &+ z) &* edge &+ low.y &+ y) &* edge &+ low.x
                            let to = (z &* size.y &+ y) &* size.x
                            var x = 0
                            while x < size.x { result[to &+ x] += weight * values[from &+ x]; x &+= 1 }
                        }
                    }
                }
            }
        }
        return result
    }
}

extension Patch {
    var tensor: Tensor {
        let edge = WorkingVolume.patchEdge
        return Tensor(shape: [1, 1, edge, edge, edge], values: values)
    }

    var withoutValues: Patch { Patch(values: [], middleLPS: middleLPS) }

    /// The first and last voxel (x, y, z) of this patch that lie within a scan.
    func voxels(within volume: WorkingVolume) -> (low: SIMD3<Int>, high: SIMD3<Int>) {
        let a = voxel(at: volume.scanned.low), b = voxel(at: volume.scanned.high)
        return (pointwiseMax(SIMD3<Int>(pointwiseMin(a, b), rounding: .toNearestOrEven), .zero),
                pointwiseMin(SIMD3<Int>(pointwiseMax(a, b), rounding: .toNearestOrEven), SIMD3(repeating: WorkingVolume.patchEdge - 1)))
    }
}

/// Trilinear interpolation in a grid of values, x fastest; beyond the border, the border's value.
struct TrilinearSampler {
    let size: SIMD3<Int>
    let values: ArraySlice<Float>

    func value(at index: SIMD3<Double>) -> Float {
        let inside = index.clamped(lowerBound: .zero, upperBound: SIMD3<Double>(size &- 1))
        let x = Int(inside.x), y = Int(inside.y), z = Int(inside.z)
        let dx = x + 1 < size.x ? 1 : 0, dy = y + 1 < size.y ? size.x : 0, dz = z + 1 < size.z ? size.x * size.y : 0
        let fx = Float(inside.x - Double(x)), fy = Float(inside.y - Double(y)), fz = Float(inside.z - Double(z))
        let base = values.startIndex + (z * size.y + y) * size.x + x
        func row(_ at: Int) -> Float { values[at] + fx * (values[at + dx] - values[at]) }
        let near = row(base), far = row(base + dz)
        let a = near + fy * (row(base + dy) - near), b = far + fy * (row(base + dz + dy) - far)
        return a + fz * (b - a)
    }
}

/// A vector scaled to length one.
func unit(_ vector: [Float]) -> [Float] {
    let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return vector.map { $0 / max(length, 1e-6) }
}
