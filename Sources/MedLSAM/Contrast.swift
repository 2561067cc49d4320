import Foundation

/// How much a voxel's intensity speaks for lying inside a structure rather than just outside its surface.
struct Contrast: Codable, Sendable, Equatable {
    /// Equal intervals of the working volume's intensity, 0 to 1.
    static let bins = 32
    /// How far outside the surface the outside is looked at, mm.
    static let ringMM = 8.0
    /// Imagined voxels in each interval, so that rare intensities say little.
    private static let doubt = 30.0

    /// Logarithm of the ratio of inside to outside frequencies, an interval each.
    let logRatios: [Float]
    /// How much larger the mean log ratio is inside than just outside: what a well placed shape shows.
    let separation: Double

    init(inside: [Double], outside: [Double]) {
        let a = Self.smoothed(inside), b = Self.smoothed(outside)
        let sumA = a.reduce(0, +), sumB = b.reduce(0, +)
        let logRatios = zip(a, b).map { log(($0 + Self.doubt) / (sumA + Self.doubt * Double(Self.bins)))
                - log(($1 + Self.doubt) / (sumB + Self.doubt * Double(Self.bins))) }
        separation = zip(zip(a, b), logRatios).reduce(0) { $0 + ($1.0.0 / max(1, sumA) - $1.0.1 / max(1, sumB)) * $1.1 }
        self.logRatios = logRatios.map(Float.init)
    }

    private static func smoothed(_ counts: [Double]) -> [Double] {
        counts.indices.map { n in
            (counts[max(0, n - 1)] + 2 * counts[n] + counts[min(counts.count - 1, n + 1)]) / 4
        }
    }

    static func bin(_ intensity: Float) -> Int { min(bins - 1, max(0, Int(intensity * Float(bins)))) }

    func logRatio(_ intensity: Float) -> Double { Double(logRatios[Self.bin(intensity)]) }
}
