/// A smooth map of patient space: a shift that changes piecewise linearly along z, and a scale across it.
///
/// x goes to x + shift(z) + scale * (x - axis(z)), where axis is the centre line of the points it was fitted to.
struct Warp: Sendable {
    /// How stiff a warp is, in units of the points' weights.
    struct Stiffness: Sendable {
        /// Number of knots along z.
        var knots: Int
        /// Against neighbouring knots' shifts differing (1/mm squared of difference).
        var bending: Double
        /// Against any shift at all; 0 where the shift is free.
        var moving: Double
        /// Against scaling (times mm squared).
        var scaling: Double
        /// Residual at which a point's weight has halved, mm.
        var outlierMM: Double
    }

    private let knots: [Double]
    private let axis: [SIMD3<Double>]
    private var shifts: [SIMD3<Double>]
    private var scale = SIMD3<Double>.zero

    private static let rounds = 6

    /// The map that leaves every position where it is.
    static let identity = Warp(from: [], to: [], weights: [], stiffness: Stiffness(knots: 1, bending: 0, moving: 0, scaling: 0, outlierMM: 1))

    /// The map that leads from `sources` to `targets`, robustly: points that fit badly lose weight.
    init(from sources: [SIMD3<Double>], to targets: [SIMD3<Double>], weights: [Double], stiffness: Stiffness) {
        let low = sources.map(\.z).min() ?? 0, high = sources.map(\.z).max() ?? 0
        let count = high - low < 1 ? 1 : stiffness.knots
        knots = count == 1 ? [(low + high) / 2] : (0..<count).map { low + (high - low) * Double($0) / Double(count - 1) }
        let hats = sources.map { [knots] in Self.hat($0.z, knots) }
        axis = Self.centreLine(sources, hats, count)
        shifts = Array(repeating: .zero, count: count)
        var robust = weights
        for _ in 0..<Self.rounds {
            solve(sources, targets, robust, hats, stiffness)
            robust = zip(zip(sources, targets), weights).map { pair, weight in
                let miss = self(pair.0) - pair.1
                return weight / (1 + (miss * miss).sum() / (stiffness.outlierMM * stiffness.outlierMM))
            }
        }
    }

    func callAsFunction(_ position: SIMD3<Double>) -> SIMD3<Double> {
        var shift = SIMD3<Double>.zero, centre = SIMD3<Double>.zero
        for (knot, share) in Self.hat(position.z, knots) {
            shift += share * shifts[knot]
            centre += share * axis[knot]
        }
        return position + shift + scale * (position - centre)
    }

    /// Up to two knots and their shares at a height; the end knots' beyond the ends.
    private static func hat(_ z: Double, _ knots: [Double]) -> [(knot: Int, share: Double)] {
        guard knots.count > 1 else { return [(0, 1)] }
        let along = min(max((z - knots[0]) / (knots[1] - knots[0]), 0), Double(knots.count - 1))
        let low = min(Int(along), knots.count - 2)
        return [(low, 1 - along + Double(low)), (low + 1, along - Double(low))]
    }

    private static func centreLine(_ points: [SIMD3<Double>], _ hats: [[(knot: Int, share: Double)]], _ count: Int) -> [SIMD3<Double>] {
        var sum = [SIMD3<Double>](repeating: .zero, count: count), weight = [Double](repeating: 0, count: count)
        for (point, hat) in zip(points, hats) {
            for (knot, share) in hat { sum[knot] += share * point; weight[knot] += share }
        }
        return zip(sum, weight).map { $1 > 0 ? $0 / $1 : .zero }
    }

    /// Weighted least squares with the stiffness as ridge, an axis at a time; z is not scaled, its shift stretches.
    private mutating func solve(_ sources: [SIMD3<Double>], _ targets: [SIMD3<Double>], _ weights: [Double],
                                _ hats: [[(knot: Int, share: Double)]], _ stiffness: Stiffness) {
        let count = knots.count
        for dimension in 0..<3 {
            let unknowns = dimension == 2 ? count : count + 1
            var system = LinearSystem(unknowns)
            for n in sources.indices {
                var row = hats[n]
                if dimension != 2 {
                    row.append((count, sources[n][dimension] - hats[n].reduce(0) { $0 + $1.share * axis[$1.knot][dimension] }))
                }
                system.add(row, target: targets[n][dimension] - sources[n][dimension], weight: weights[n])
            }
            for knot in 0..<count {
                system.add([(knot, 1)], target: 0, weight: stiffness.moving / Double(count) + 1e-9)
                if knot > 0 { system.add([(knot - 1, -1), (knot, 1)], target: 0, weight: stiffness.bending) }
            }
            if dimension != 2 { system.add([(count, 1)], target: 0, weight: stiffness.scaling + 1e-9) }
            let solution = system.solved()
            for knot in 0..<count { shifts[knot][dimension] = solution[knot] }
            if dimension != 2 { scale[dimension] = solution[count] }
        }
    }
}

/// A small least squares problem, kept as its normal equations.
private struct LinearSystem {
    private var matrix: [[Double]], right: [Double]

    init(_ unknowns: Int) {
        matrix = Array(repeating: Array(repeating: 0, count: unknowns), count: unknowns)
        right = Array(repeating: 0, count: unknowns)
    }

    /// Asks that the row's sum be the target.
    mutating func add(_ row: [(knot: Int, share: Double)], target: Double, weight: Double) {
        for (i, a) in row {
            for (j, b) in row { matrix[i][j] += weight * a * b }
            right[i] += weight * a * target
        }
    }

    /// By elimination: the matrix is positive definite, so that no pivoting is needed.
    func solved() -> [Double] {
        var m = matrix, x = right
        for i in x.indices {
            for j in i + 1..<max(i + 1, x.count) {
                let factor = m[j][i] / m[i][i]
                for k in i..<x.count { m[j][k] -= factor * m[i][k] }
                x[j] -= factor * x[i]
            }
        }
        for i in x.indices.reversed() {
            for k in i + 1..<max(i + 1, x.count) { x[i] -= m[i][k] * x[k] }
            x[i] /= m[i][i]
        }
        return x
    }
}
