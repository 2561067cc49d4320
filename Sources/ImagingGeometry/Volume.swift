/// A CT volume: Hounsfield units on a regular grid.
public struct Volume: Sendable {
    public let geometry: VolumeGeometry
    /// Hounsfield units, column fastest, then row, then slice.
    public var voxels: [Int16]

    public init(geometry: VolumeGeometry, voxels: [Int16]) {
        precondition(voxels.count == geometry.count)
        self.geometry = geometry
        self.voxels = voxels
    }
}

extension Volume {
    /// The smallest and the largest Hounsfield unit; zeros where there is no voxel.
    public var range: (smallest: Int, largest: Int) {
        voxels.withUnsafeBufferPointer { voxels in
            guard var smallest = voxels.first, var largest = voxels.first else { return (0, 0) }
            // One pass over what is larger than any cache; the compiler takes eight at a time.
            for voxel in voxels {
                smallest = Swift.min(smallest, voxel)
                largest = Swift.max(largest, voxel)
            }
            return (Int(smallest), Int(largest))
        }
    }
}

/// A binary mask on a volume's grid: 0 outside, 1 inside.
public struct Mask: Sendable {
    public let geometry: VolumeGeometry
    /// 0 or 1, column fastest, then row, then slice.
    public var voxels: [UInt8]

    public init(geometry: VolumeGeometry, voxels: [UInt8]) {
        precondition(voxels.count == geometry.count)
        self.geometry = geometry
        self.voxels = voxels
    }
}
