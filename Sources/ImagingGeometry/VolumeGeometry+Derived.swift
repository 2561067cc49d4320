extension VolumeGeometry {
    /// How far the two in-plane directions are from unit length and from a right angle: 0 for a perfect frame.
    ///
    /// The largest of | |a| - 1 |, | |b| - 1 | and |a . b|; NaN when a direction holds one.
    public var orthonormality: Double {
        let a = columnIndexDirection, b = rowIndexDirection
        let faults = [((a * a).sum().squareRoot() - 1).magnitude, ((b * b).sum().squareRoot() - 1).magnitude, (a * b).sum().magnitude]
        return faults.contains { $0.isNaN } ? .nan : faults.max()!
    }

    /// Volume of one voxel in millilitres.
    public var voxelML: Double { spacingMM.x * spacingMM.y * spacingMM.z / 1000 }

    /// Extent of the grid from outer voxel face to outer voxel face, in millimetres.
    public var extentMM: SIMD3<Double> { SIMD3<Double>(size) * spacingMM }

    /// Patient position (LPS, mm) of the grid's middle.
    public var centreLPS: SIMD3<Double> { indexToPatient(SIMD3<Double>(size &- 1) / 2) }

    /// The grid of another spacing over the same extent: the same orientation, the same outer corner at index (0, 0, 0).
    ///
    /// The far faces agree within half a new voxel.
    public func withSpacing(_ newSpacingMM: SIMD3<Double>) -> VolumeGeometry {
        let count = (extentMM / newSpacingMM).rounded(.toNearestOrAwayFromZero)
        let newSize = SIMD3<Int>(Int(max(1, count.x)), Int(max(1, count.y)), Int(max(1, count.z)))
        return VolumeGeometry(size: newSize, spacingMM: newSpacingMM, originLPS: indexToPatient((newSpacingMM / spacingMM - 1) / 2),
                              columnIndexDirection: columnIndexDirection, rowIndexDirection: rowIndexDirection)
    }

    /// The part of the grid inside a box of voxels, which may reach beyond the grid.
    public func part(_ box: VoxelBox) -> VolumeGeometry {
        VolumeGeometry(size: box.size, spacingMM: spacingMM, originLPS: indexToPatient(SIMD3<Double>(box.lower)),
                       columnIndexDirection: columnIndexDirection, rowIndexDirection: rowIndexDirection)
    }

    /// Position of a voxel in the storage order of `Volume` and `Mask`.
    public func offset(_ index: SIMD3<Int>) -> Int { (index.z * size.y + index.y) * size.x + index.x }

    /// Index of the voxel at a position in storage order.
    public func index(atOffset offset: Int) -> SIMD3<Int> {
        [offset % size.x, offset / size.x % size.y, offset / (size.x * size.y)]
    }

    /// Whether a voxel index lies on the grid.
    public func contains(_ index: SIMD3<Int>) -> Bool { all(index .>= 0) && all(index .< size) }
}

/// A box of voxels, both corners inside it.
public struct VoxelBox: Sendable, Hashable, Codable {
    /// The smallest index (i, j, k) in the box.
    public var lower: SIMD3<Int>
    /// The largest index (i, j, k) in the box.
    public var upper: SIMD3<Int>

    public init(lower: SIMD3<Int>, upper: SIMD3<Int>) {
        precondition(all(lower .<= upper))
        self.lower = lower
        self.upper = upper
    }

    /// Number of voxels along each axis.
    public var size: SIMD3<Int> { upper &- lower &+ 1 }

    /// The box grown by a margin on every side and cut to a grid; nil when nothing of it lies on the grid.
    public func grown(by margin: SIMD3<Int>, within geometry: VolumeGeometry) -> VoxelBox? {
        let low = pointwiseMax(lower &- margin, .zero), high = pointwiseMin(upper &+ margin, geometry.size &- 1)
        return all(low .<= high) ? VoxelBox(lower: low, upper: high) : nil
    }
}
