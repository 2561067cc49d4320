import ImagingGeometry

/// The extreme points of a structure in one patient, whole and in parts along z (the paper's WPL and SPL).
struct ExtremePoints: Sendable {
    /// Parts that a structure is split into along z (the paper's upper limit).
    static let parts = 6
    /// Points of the whole or of a part: low and high faces along x, y, z, and the centre.
    static let pointsPerPart = 7
    /// Points of a structure.
    static let count = (parts + 1) * pointsPerPart

    static func isCentre(_ index: Int) -> Bool { index % pointsPerPart == pointsPerPart - 1 }

    /// LPS, mm: first the whole structure's seven points, then each part's, from low z to high.
    let points: [SIMD3<Double>]

    /// Nil for an empty mask. Points on faces lie on the outer faces of the extreme voxels.
    init?(_ mask: Mask) {
        let voxels = mask.positionsLPS
        guard let bounds = Bounds(voxels) else { return nil }
        let half = mask.geometry.halfVoxelLPS
        let low = bounds.low.z - half.z, height = bounds.extent.z + 2 * half.z
        var parts = [[SIMD3<Double>]](repeating: [], count: Self.parts)
        for voxel in voxels { parts[min(Self.parts - 1, Int((voxel.z - low) / height * Double(Self.parts)))].append(voxel) }
        // A structure of fewer slices than parts leaves some empty: these repeat their neighbour.
        for n in parts.indices where parts[n].isEmpty { parts[n] = n > 0 ? parts[n - 1] : voxels }
        points = ([voxels] + parts).flatMap { Self.extremes(of: $0, half: half) }
    }

    private static func extremes(of voxels: [SIMD3<Double>], half: SIMD3<Double>) -> [SIMD3<Double>] {
        let bounds = Bounds(voxels)!
        var points: [SIMD3<Double>] = []
        for axis in 0..<3 {
            for (face, outward) in [(bounds.low[axis], -half[axis]), (bounds.high[axis], half[axis])] {
                var point = mean(voxels.filter { abs($0[axis] - face) <= half[axis] })
                point[axis] = face + outward
                points.append(point)
            }
        }
        return points + [mean(voxels)]
    }
}

/// How far inside a structure each node of a coarse grid lies: a support's shape, without any of its voxels' contents.
struct DistanceField: Sendable {
    /// Beyond this distance from the surface, the field is constant.
    static let limitMM = 12.0

    /// Nodes along the patient's axes.
    let geometry: VolumeGeometry
    /// Millimetres, positive inside.
    let values: [Float]

    /// Signed distances from a mask's surface, on the working grid's spacing.
    init(_ mask: Mask, around bounds: Bounds) {
        let box = bounds.expanded(byMM: Self.limitMM), spacing = WorkingVolume.spacingMM
        let geometry = VolumeGeometry(size: SIMD3<Int>(box.extent / spacing, rounding: .up) &+ 1,
                                      spacingMM: SIMD3(repeating: spacing), originLPS: box.low)
        self.geometry = geometry
        let search = NearestVoxels(mask, reachMM: Self.limitMM)
        values = (0..<geometry.count).map { search.signedDistance(at: geometry.indexToPatient(SIMD3<Double>(geometry.index(atOffset: $0)))) }
    }

    init(geometry: VolumeGeometry, values: [Float]) {
        self.geometry = geometry
        self.values = values
    }

    /// The distance at a position; far outside it goes on falling, so that means of several fields stay smooth.
    func distance(at positionLPS: SIMD3<Double>) -> Double {
        let index = geometry.patientToIndex(positionLPS)
        let inside = index.clamped(lowerBound: .zero, upperBound: SIMD3<Double>(geometry.size &- 1))
        return Double(TrilinearSampler(size: geometry.size, values: values[...]).value(at: inside)) - length((index - inside) * geometry.spacingMM)
    }

    func moved(by offset: SIMD3<Double>) -> DistanceField {
        DistanceField(geometry: VolumeGeometry(size: geometry.size, spacingMM: geometry.spacingMM, originLPS: geometry.originLPS + offset), values: values)
    }
}

/// Finds the nearest voxel inside and outside a mask.
private struct NearestVoxels {
    let mask: Mask
    let reachMM: Double
    /// Half of the largest distance between neighbouring voxels.
    let halfStep: Double
    /// Index steps around a voxel, nearest first, and their lengths.
    let steps: [(step: SIMD3<Int>, length: Double)]

    init(_ mask: Mask, reachMM: Double) {
        self.mask = mask
        self.reachMM = reachMM
        let spacing = mask.geometry.spacingMM
        halfStep = spacing.max() / 2
        let reach = SIMD3<Int>(reachMM / spacing, rounding: .up)
        var steps: [(SIMD3<Int>, Double)] = []
        for z in -reach.z...reach.z {
            for y in -reach.y...reach.y {
                for x in -reach.x...reach.x {
                    let step = SIMD3(x, y, z), mm = SIMD3<Double>(step) * spacing
                    steps.append((step, (mm * mm).sum().squareRoot()))
                }
            }
        }
        self.steps = steps.sorted { $0.1 < $1.1 }
    }

    func signedDistance(at positionLPS: SIMD3<Double>) -> Float {
        let geometry = mask.geometry, index = geometry.patientToIndex(positionLPS)
        let nearest = SIMD3<Int>(index, rounding: .toNearestOrEven)
        let off = (index - SIMD3<Double>(nearest)) * geometry.spacingMM
        let slack = (off * off).sum().squareRoot()
        var inside = reachMM, outside = reachMM
        for (step, length) in steps {
            if length - slack > max(inside, outside) { break }
            let at = nearest &+ step
            let isInside = geometry.contains(at) && mask.voxels[geometry.offset(at)] != 0
            let d = SIMD3<Double>(step) * geometry.spacingMM - off
            let distance = (d * d).sum().squareRoot()
            if isInside { inside = min(inside, distance) } else { outside = min(outside, distance) }
        }
        // Half way between the two, and not nearer the surface than the far one says.
        let away = abs(outside - inside) / 2, deep = max(outside, inside) - halfStep
        return Float(outside > inside ? max(away, deep) : -max(away, deep))
    }
}

extension Mask {
    /// Patient positions of the voxels inside.
    var positionsLPS: [SIMD3<Double>] {
        voxels.indices.filter { voxels[$0] != 0 }.map { geometry.indexToPatient(SIMD3<Double>(geometry.index(atOffset: $0))) }
    }
}

extension VolumeGeometry {
    /// Half of a voxel's extent along each of the patient's axes.
    package var halfVoxelLPS: SIMD3<Double> {
        func size(_ v: SIMD3<Double>) -> SIMD3<Double> { pointwiseMax(v, -v) }
        return (size(columnIndexDirection) * spacingMM.x + size(rowIndexDirection) * spacingMM.y
            + size(sliceIndexDirection) * spacingMM.z) / 2
    }
}

/// The mean of some points; there must be one.
func mean(_ points: [SIMD3<Double>]) -> SIMD3<Double> { points.reduce(.zero, +) / Double(points.count) }
