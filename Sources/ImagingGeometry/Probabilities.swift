/// Numbers of a grid of which all but those in a box are 0: what a structure needs, which is small beside its scan.
public struct BoxedVoxels: Sendable, Equatable {
    /// Size of the whole grid.
    public let size: SIMD3<Int>
    /// What is kept of it.
    public let box: VoxelBox
    /// The box's numbers, column fastest, then row, then slice.
    public var values: [UInt8]

    /// The numbers in a box of a grid.
    public init(size: SIMD3<Int>, box: VoxelBox, values: [UInt8]) {
        precondition(all(box.lower .>= 0) && all(box.upper .< size) && values.count == box.size.x * box.size.y * box.size.z)
        (self.size, self.box, self.values) = (size, box, values)
    }

    /// All numbers of a grid, column fastest, then row, then slice; kept is the smallest box around those that are not 0.
    public init(size: SIMD3<Int>, voxels: [UInt8]) {
        // A mask's box is that of what is not 0, whatever it is.
        let mask = Mask(geometry: VolumeGeometry(size: size, spacingMM: .one, originLPS: .zero), voxels: voxels)
        let box = mask.boundingBox ?? VoxelBox(lower: .zero, upper: .zero)
        self.init(size: size, box: box, values: [UInt8](unsafeUninitializedCapacity: box.size.x * box.size.y * box.size.z) { values, count in
            for k in box.lower.z...box.upper.z {
                for j in box.lower.y...box.upper.y {
                    let start = (k * size.y + j) * size.x
                    for i in box.lower.x...box.upper.x { values[count] = voxels[start + i]; count += 1 }
                }
            }
        })
    }

    /// The numbers of one slice of the grid, all of them.
    public func plane(_ slice: Int) -> [UInt8] {
        var plane = [UInt8](repeating: 0, count: size.x * size.y)
        guard slice >= box.lower.z, slice <= box.upper.z else { return plane }
        let width = box.size.x
        for j in 0..<box.size.y {
            let start = ((slice - box.lower.z) * box.size.y + j) * width, to = (box.lower.y + j) * size.x + box.lower.x
            plane.replaceSubrange(to..<to + width, with: values[start..<start + width])
        }
        return plane
    }
}

/// How likely each voxel of a volume's grid belongs to a structure.
public struct ProbabilityMap: Sendable {
    /// From this value on a voxel is inside: the mask of a map are the voxels of at least half its range.
    public static let inside: UInt8 = 128
    public let geometry: VolumeGeometry
    /// 0 (outside for sure) to 255 (inside for sure).
    public let voxels: BoxedVoxels

    /// A map on a grid of the same size.
    public init(geometry: VolumeGeometry, voxels: BoxedVoxels) {
        precondition(voxels.size == geometry.size)
        self.geometry = geometry
        self.voxels = voxels
    }

    /// A map of all voxels, column fastest, then row, then slice.
    public init(geometry: VolumeGeometry, voxels: [UInt8]) {
        self.init(geometry: geometry, voxels: BoxedVoxels(size: geometry.size, voxels: voxels))
    }
}

/// How likely each pixel of a source's slices belongs to a structure: 0 to 255, inside from `ProbabilityMap.inside` on.
public struct SourceProbabilities: Sendable {
    public let grid: SourceGrid
    /// (column, row, slice) of the grid.
    public let voxels: BoxedVoxels

    /// Values on slices of the same size.
    public init(grid: SourceGrid, voxels: BoxedVoxels) {
        precondition(voxels.size == [grid.columns, grid.rows, grid.slices])
        self.grid = grid
        self.voxels = voxels
    }

    /// The pixels of a slice, column fastest.
    public func pixels(ofSlice slice: Int) -> [UInt8] { voxels.plane(slice) }
}
