import ImagingGeometry

/// A CT as MedLAM reads it: intensities 0 to 1 on a 3 mm grid along the patient's axes, whatever the CT's orientation.
///
/// Here voxels run i to Left, j to Posterior, k to Superior, as patient space does. The network's patches are
/// (z, y, x) arrays towards Superior, Anterior, Left: `patch` turns j round. Outside the scan lies air (0).
struct WorkingVolume: Sendable {
    /// Edge of a voxel (the paper's).
    static let spacingMM = 3.0
    /// Edge of a network patch, in voxels.
    static let patchEdge = 64
    /// The patch's voxel that lies at its position.
    static let patchMiddle = 32
    /// Intensity of -400 HU: above it is body (or couch), below it air and lung.
    private static let bodyIntensity: Float = 0.15
    /// Share of the fullest column (or row) of the body that any other must show to be part of its box.
    private static let leastBodyShare = 0.02
    /// Intensities travel through the resampler as whole numbers of this many to one.
    private static let intensityScale: Float = 10_000

    let geometry: VolumeGeometry
    /// Box of the voxel centres, less slices at the ends that show no body: some archives pad a scan with air.
    let scanned: Bounds
    private let intensities: [Float]

    init(_ volume: Volume) {
        let bounds = Bounds(volume.geometry)
        geometry = VolumeGeometry(size: SIMD3<Int>(bounds.extent / Self.spacingMM, rounding: .down) &+ 1,
                                  spacingMM: SIMD3(repeating: Self.spacingMM), originLPS: bounds.low)
        // Intensities are resampled rather than HU, as in training: the map is not linear.
        let scaled = volume.voxels.map { Int16(Self.intensity($0) * Self.intensityScale) }
        let intensities = Volume(geometry: volume.geometry, voxels: scaled).resampled(to: geometry, outside: 0)
            .voxels.map { Float($0) / Self.intensityScale }
        self.intensities = intensities
        let plane = geometry.size.x * geometry.size.y
        let shown = (0..<geometry.size.z).filter { k in intensities[k * plane..<(k + 1) * plane].contains { $0 > Self.bodyIntensity } }
        var scanned = Bounds(geometry)
        if let first = shown.first, let last = shown.last {
            (scanned.low.z, scanned.high.z) = (bounds.low.z + Double(first) * Self.spacingMM, bounds.low.z + Double(last) * Self.spacingMM)
        }
        self.scanned = scanned
    }

    /// The paper's map of Hounsfield units: [-1000, -200, 200, 1500] to [0, 0.2, 0.8, 1], linear in between.
    static func intensity(_ hu: Int16) -> Float {
        let hu = Float(hu)
        if hu < -200 { return max(0, (hu + 1000) / 800 * 0.2) }
        return hu < 200 ? 0.2 + (hu + 200) / 400 * 0.6 : min(1, 0.8 + (hu - 200) / 1300 * 0.2)
    }

    /// The intensity at a position, linearly interpolated; the border's beyond it.
    func intensity(at positionLPS: SIMD3<Double>) -> Float {
        TrilinearSampler(size: geometry.size, values: intensities[...]).value(at: geometry.patientToIndex(positionLPS))
    }

    /// Whether a position lies within what was scanned, to half a voxel.
    func contains(_ positionLPS: SIMD3<Double>) -> Bool {
        let half = Self.spacingMM / 2
        return all(positionLPS .>= scanned.low - half) && all(positionLPS .<= scanned.high + half)
    }

    /// Box of the body; nil where there is none. In plane, columns and rows of voxels that show next to none of it do not count, so that
    /// an infusion line is no part of it.
    var body: Bounds? {
        let size = geometry.size, counts = intensities.withUnsafeBufferPointer { values in
            var counts = (x: [Int](repeating: 0, count: size.x), y: [Int](repeating: 0, count: size.y))
            var offset = 0
            for _ in 0..<size.z {
                for y in 0..<size.y {
                    for x in 0..<size.x {
                        if values[offset] > Self.bodyIntensity {
                            counts.x[x] &+= 1
                            counts.y[y] &+= 1
                        }
                        offset &+= 1
                    }
                }
            }
            return counts
        }
        func range(_ counts: [Int]) -> (first: Double, last: Double)? {
            let least = Double(counts.max() ?? 0) * Self.leastBodyShare
            guard let first = counts.firstIndex(where: { Double($0) > least }), let last = counts.lastIndex(where: { Double($0) > least }) else { return nil }
            return (Double(first), Double(last))
        }
        guard let x = range(counts.x), let y = range(counts.y) else { return nil }
        var low = geometry.indexToPatient([x.first, y.first, 0]), high = geometry.indexToPatient([x.last, y.last, 0])
        (low.z, high.z) = (scanned.low.z, scanned.high.z)
        return Bounds(low: low, high: high)
    }

    /// The patch whose middle voxel lies nearest a position.
    func patch(around positionLPS: SIMD3<Double>) -> Patch {
        let middle = SIMD3<Int>(geometry.patientToIndex(positionLPS), rounding: .toNearestOrEven), half = Self.patchMiddle
        // Rows are turned round: the middle lies at row 32 from the posterior end.
        let values = values(from: middle &- SIMD3(half, half - 1, half), size: SIMD3(repeating: Self.patchEdge))
        return Patch(values: values, middleLPS: geometry.indexToPatient(SIMD3<Double>(middle)))
    }

    /// The intensities of `size` voxels from a corner on, axes (z, y, x) towards Superior, Anterior, Left; air beyond.
    func values(from corner: SIMD3<Int>, size: SIMD3<Int>) -> [Float] {
        var values = [Float](repeating: 0, count: size.x * size.y * size.z)
        let stored = geometry.size, columns = max(0, corner.x)..<max(max(0, corner.x), min(stored.x, corner.x + size.x))
        for z in 0..<size.z where (0..<stored.z).contains(corner.z + z) {
            for y in 0..<size.y {
                let j = corner.y + size.y - 1 - y
                guard (0..<stored.y).contains(j) else { continue }
                let source = ((corner.z + z) * stored.y + j) * stored.x, target = (z * size.y + y) * size.x - corner.x
                for i in columns { values[target + i] = intensities[source + i] }
            }
        }
        return values
    }

    /// Random body voxels' positions; every slice is equally likely, as in training. Empty where there is no body.
    func bodyPositions(count: Int, random: inout SplitMix64) -> [SIMD3<Double>] {
        let plane = geometry.size.x * geometry.size.y
        func body(_ k: Int) -> [Int] { (k * plane..<(k + 1) * plane).filter { intensities[$0] > Self.bodyIntensity } }
        let slices = (0..<geometry.size.z).filter { !body($0).isEmpty }
        guard !slices.isEmpty else { return [] }
        return (0..<count).map { _ in
            let offset = body(slices.randomElement(using: &random)!).randomElement(using: &random)!
            return geometry.indexToPatient(SIMD3<Double>(geometry.index(atOffset: offset)))
        }
    }
}

/// One input of MedLAM.
struct Patch: Sendable {
    /// 64 cubed intensities, axes (z, y, x) towards Superior, Anterior, Left.
    let values: [Float]
    /// Patient position of the voxel (32, 32, 32).
    let middleLPS: SIMD3<Double>

    /// Continuous voxel index (x, y, z) of a patient position in this patch.
    func voxel(at positionLPS: SIMD3<Double>) -> SIMD3<Double> {
        (positionLPS - middleLPS) / WorkingVolume.spacingMM * [1, -1, 1] + Double(WorkingVolume.patchMiddle)
    }

    /// Patient position of a continuous voxel index (x, y, z).
    func positionLPS(ofVoxel voxel: SIMD3<Double>) -> SIMD3<Double> {
        middleLPS + (voxel - Double(WorkingVolume.patchMiddle)) * WorkingVolume.spacingMM * [1, -1, 1]
    }
}

/// A small, fast, seedable generator (Steele, Lea, Flood 2014): the same seed gives the same numbers everywhere.
struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
