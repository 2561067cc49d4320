/// How far the surfaces of two masks lie apart, by the definitions of Nikolov et al. (J Med Internet Res 2021;23:e26151).
///
/// A surface consists of one element at each corner of voxels where inside and outside meet, as large as the marching cubes' patch
/// there. Each element's distance is that to the nearest element of the other surface, in millimetres whatever the spacing.
public struct SurfaceDistances: Sendable {
    /// From the elements of each mask's surface to the other's, nearest first.
    private let there, back: [Element]

    private struct Element {
        let distanceMM, areaMM2: Double
    }

    /// Measures two masks on the same grid; nil where one is empty, which has no surface.
    public init?(_ a: Mask, _ b: Mask) {
        precondition(a.geometry == b.geometry)
        guard let boxA = a.boundingBox, let boxB = b.boundingBox else { return nil }
        let box = VoxelBox(lower: pointwiseMin(boxA.lower, boxB.lower), upper: pointwiseMax(boxA.upper, boxB.upper))
        let corners = box.size &+ 1, spacing = a.geometry.spacingMM, areas = SurfacePatches(spacingMM: spacing).areasMM2
        let codesA = Self.codes(a, box), codesB = Self.codes(b, box)
        let toB = squaredDistances(to: codesB.map(Self.isSurface), size: corners, spacingMM: spacing)
        let toA = squaredDistances(to: codesA.map(Self.isSurface), size: corners, spacingMM: spacing)
        there = Self.elements(codesA, toB, areas)
        back = Self.elements(codesB, toA, areas)
    }

    /// The distance within which so much of each surface's area lies from the other, the larger of the two: 0.95 is HD95, in millimetres.
    public func hausdorffMM(share: Double = 0.95) -> Double { max(Self.percentile(there, share), Self.percentile(back, share)) }

    /// The share of both surfaces' area that lies no farther than `toleranceMM` from the other, 0 to 1.
    public func dice(toleranceMM: Double) -> Double {
        let both = there + back
        return both.reduce(0) { $0 + ($1.distanceMM <= toleranceMM ? $1.areaMM2 : 0) } / both.reduce(0) { $0 + $1.areaMM2 }
    }

    private static func percentile(_ elements: [Element], _ share: Double) -> Double {
        let wanted = share * elements.reduce(0) { $0 + $1.areaMM2 }
        var reached = 0.0
        return elements.first { reached += $0.areaMM2; return reached >= wanted }?.distanceMM ?? elements[elements.count - 1].distanceMM
    }

    private static func elements(_ codes: [UInt8], _ squared: [Double], _ areas: [Double]) -> [Element] {
        codes.indices.filter { isSurface(codes[$0]) }.map { Element(distanceMM: squared[$0].squareRoot(), areaMM2: areas[Int(codes[$0])]) }
            .sorted { $0.distanceMM < $1.distanceMM }
    }

    private static func isSurface(_ code: UInt8) -> Bool { code != 0 && code != .max }

    /// Which of the eight voxels around each corner of a box's voxels are inside: bit x + 2 y + 4 z, 0 for the lower one on an axis.
    private static func codes(_ mask: Mask, _ box: VoxelBox) -> [UInt8] {
        let size = box.size &+ 1
        var codes = [UInt8](repeating: 0, count: size.x * size.y * size.z)
        mask.forEachOffset(in: box) { offset in
            guard mask.voxels[offset] != 0 else { return }
            let low = mask.geometry.index(atOffset: offset) &- box.lower
            for bit in 0..<8 {
                let step = SIMD3(bit & 1, bit >> 1 & 1, bit >> 2)
                // To the corner at its lower side, this voxel is the upper one.
                let corner = low &+ step
                codes[(corner.z * size.y + corner.y) * size.x + corner.x] |= 1 << UInt8(7 - bit)
            }
        }
        return codes
    }
}

/// Areas of the marching cubes' patches in a cell between eight voxel centres.
private struct SurfacePatches {
    /// By which corners of the cell are inside (bit x + 2 y + 4 z), in square millimetres.
    let areasMM2: [Double]

    init(spacingMM: SIMD3<Double>) {
        areasMM2 = (0..<256).map { code in Self.rings(code).reduce(0) { $0 + Self.area($1, spacingMM) } }
    }

    /// The polygons that part inside from outside, by the middles of the cell's edges (in half edges).
    ///
    /// Where inside corners of a face touch only diagonally, they are kept apart.
    private static func rings(_ code: Int) -> [[SIMD3<Int>]] {
        func isInside(_ corner: SIMD3<Int>) -> Bool { code >> (corner.x + 2 * corner.y + 4 * corner.z) & 1 == 1 }
        var lines: [(SIMD3<Int>, SIMD3<Int>)] = []
        for axis in 0..<3 {
            for side in 0...1 {
                let face = [[0, 0], [1, 0], [1, 1], [0, 1]].map { at in
                    var corner = SIMD3<Int>.zero
                    (corner[axis], corner[(axis + 1) % 3], corner[(axis + 2) % 3]) = (side, at[0], at[1])
                    return corner
                }
                // Round the face, from the edge before an inside corner to the one behind it.
                let crossed = (0..<4).filter { isInside(face[$0]) != isInside(face[($0 + 1) % 4]) }
                let middles = crossed.map { face[$0] &+ face[($0 + 1) % 4] }
                switch crossed.count {
                case 2: lines.append((middles[0], middles[1]))
                case 4: lines += isInside(face[1]) ? [(middles[0], middles[1]), (middles[2], middles[3])] : [(middles[1], middles[2]), (middles[3], middles[0])]
                default: break
                }
            }
        }
        var rings: [[SIMD3<Int>]] = []
        while let (first, second) = lines.popLast() {
            var ring = [first, second]
            while let next = lines.firstIndex(where: { $0.0 == ring.last! || $0.1 == ring.last! }) {
                let line = lines.remove(at: next)
                ring.append(line.0 == ring.last! ? line.1 : line.0)
            }
            rings.append(ring.dropLast())
        }
        return rings
    }

    /// The largest of the fans that a polygon can be cut into: what the authors' table of areas holds.
    private static func area(_ ring: [SIMD3<Int>], _ spacingMM: SIMD3<Double>) -> Double {
        let points = ring.map { SIMD3<Double>($0) / 2 * spacingMM }
        return points.indices.map { start in
            (1..<points.count - 1).reduce(0) { sum, n in
                let a = points[(start + n) % points.count] - points[start], b = points[(start + n + 1) % points.count] - points[start]
                let cross = SIMD3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)
                return sum + (cross * cross).sum().squareRoot() / 2
            }
        }.max() ?? 0
    }
}
