extension Mask {
    /// A mask with nothing in it.
    public init(empty geometry: VolumeGeometry) {
        self.init(geometry: geometry, voxels: [UInt8](repeating: 0, count: geometry.count))
    }

    /// Number of voxels inside.
    public var count: Int {
        voxels.withUnsafeBufferPointer { voxels in
            var sum = 0, n = 0
            while n < voxels.count { sum &+= Int(voxels[n]); n &+= 1 }
            return sum
        }
    }

    /// Whether nothing is inside.
    public var isEmpty: Bool { boundingBox == nil }

    /// Volume of the inside in millilitres.
    public var volumeML: Double { Double(count) * geometry.voxelML }

    /// The smallest box around the inside; nil when the mask is empty.
    public var boundingBox: VoxelBox? {
        var lower = geometry.size, upper = SIMD3<Int>(repeating: -1)
        voxels.withUnsafeBufferPointer { voxels in
            var offset = 0
            for k in 0..<geometry.size.z {
                for j in 0..<geometry.size.y {
                    var i = 0
                    while i < geometry.size.x {
                        if voxels[offset] != 0 {
                            lower.x = min(lower.x, i); upper.x = max(upper.x, i)
                            lower.y = min(lower.y, j); upper.y = max(upper.y, j)
                            lower.z = min(lower.z, k); upper.z = k
                        }
                        i &+= 1
                        offset &+= 1
                    }
                }
            }
        }
        return upper.x < 0 ? nil : VoxelBox(lower: lower, upper: upper)
    }

    /// Patient position (LPS, mm) of the centre of mass; nil when the mask is empty.
    public var centroidLPS: SIMD3<Double>? {
        guard let box = boundingBox else { return nil }
        var sum = SIMD3<Double>.zero, count = 0.0
        forEachOffset(in: box) { offset in
            if voxels[offset] != 0 { sum += SIMD3<Double>(geometry.index(atOffset: offset)); count += 1 }
        }
        return geometry.indexToPatient(sum / count)
    }

    /// Dice similarity of two masks on the same grid, 0 to 1; nil when both are empty (nothing to agree on).
    public func dice(_ other: Mask) -> Double? {
        precondition(geometry.size == other.geometry.size)
        var both = 0, n = 0
        voxels.withUnsafeBufferPointer { a in
            other.voxels.withUnsafeBufferPointer { b in
                while n < a.count { both &+= Int(a[n] & b[n]); n &+= 1 }
            }
        }
        let sum = count + other.count
        return sum == 0 ? nil : 2 * Double(both) / Double(sum)
    }

    /// Calls with the storage position of every voxel in a box, in storage order.
    func forEachOffset(in box: VoxelBox, _ body: (Int) -> Void) {
        for k in box.lower.z...box.upper.z {
            for j in box.lower.y...box.upper.y {
                let row = geometry.offset([0, j, k])
                for i in box.lower.x...box.upper.x { body(row &+ i) }
            }
        }
    }
}
