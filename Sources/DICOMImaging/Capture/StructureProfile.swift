import ImagingGeometry

/// A structure's voxels, counted on each plane of the volume: where the sheet cuts.
struct StructureProfile {
    /// Voxels on each plane across axis 0, 1 and 2.
    private let counts: [[Int]]

    init(_ mask: Mask) {
        let size = mask.geometry.size, plane = size.x * size.y
        var columns = [Int](repeating: 0, count: size.x), rows = [Int](repeating: 0, count: size.y), slices = [Int](repeating: 0, count: size.z)
        mask.voxels.withUnsafeBufferPointer { mask in
            for k in 0..<size.z where holdsAny(UnsafeBufferPointer(rebasing: mask[k * plane..<(k + 1) * plane])) {
                for j in 0..<size.y {
                    let start = k &* plane &+ j &* size.x
                    var inRow = 0, i = 0
                    while i < size.x {
                        columns[i] &+= Int(mask[start &+ i])
                        inRow &+= Int(mask[start &+ i])
                        i &+= 1
                    }
                    rows[j] += inRow
                    slices[k] += inRow
                }
            }
        }
        counts = [columns, rows, slices]
    }

    /// The smallest box around it; nil where it is empty.
    var box: VoxelBox? {
        let first = counts.compactMap { $0.firstIndex { $0 > 0 } }, last = counts.compactMap { $0.lastIndex { $0 > 0 } }
        return first.count < 3 ? nil : VoxelBox(lower: [first[0], first[1], first[2]], upper: [last[0], last[1], last[2]])
    }

    /// The plane across an axis that shows most of it; of several the one nearest to its middle.
    func fullest(_ axis: Int) -> Int {
        let planes = counts[axis], middle = Double((planes.firstIndex { $0 > 0 } ?? 0) + (planes.lastIndex { $0 > 0 } ?? 0)) / 2
        return planes.indices.max { (planes[$0], -(Double($0) - middle).magnitude) < (planes[$1], -(Double($1) - middle).magnitude) } ?? 0
    }
}
