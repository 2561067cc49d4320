import ImagingGeometry

/// Low and high corners in patient space (LPS, mm).
public struct Bounds: Codable, Sendable, Hashable {
    public var low: SIMD3<Double>
    public var high: SIMD3<Double>

    public init(low: SIMD3<Double>, high: SIMD3<Double>) {
        self.low = low
        self.high = high
    }

    /// The smallest box around some points; nil without any.
    init?(_ points: some Sequence<SIMD3<Double>>) {
        var low = SIMD3(repeating: Double.infinity), high = -low
        for point in points {
            low = pointwiseMin(low, point)
            high = pointwiseMax(high, point)
        }
        guard low.x <= high.x else { return nil }
        self.init(low: low, high: high)
    }

    /// The box around a grid's voxel centres.
    init(_ geometry: VolumeGeometry) {
        let last = SIMD3<Double>(geometry.size &- 1)
        self.init((0..<8).map { corner in
            geometry.indexToPatient([corner & 1 == 0 ? 0 : last.x, corner & 2 == 0 ? 0 : last.y, corner & 4 == 0 ? 0 : last.z])
        })!
    }

    var centre: SIMD3<Double> { (low + high) / 2 }
    var extent: SIMD3<Double> { high - low }

    func moved(by offset: SIMD3<Double>) -> Bounds { Bounds(low: low + offset, high: high + offset) }

    func expanded(byMM margin: Double) -> Bounds { Bounds(low: low - margin, high: high + margin) }
}
