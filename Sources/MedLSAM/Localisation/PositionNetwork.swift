import Foundation
import ModelRuntime

/// MedLAM's position head: where in the body a patch lies.
struct PositionNetwork: Sendable {
    let model: any Model

    /// Offset in mm for a latent difference of one, before tanh (the paper's), in LPS order.
    private static let scaleMM = SIMD3(600.0, 600, 1500)

    /// A patch's latent position in LPS order: the network's (z, y, x) towards Superior, Anterior, Left, turned round.
    func latent(of patch: Patch) throws -> (latent: SIMD3<Double>, middleLPS: SIMD3<Double>) {
        guard let values = try model(["patch": patch.tensor])["position"]?.values, values.count == 3, values.allSatisfy(\.isFinite) else {
            throw MedLSAMError(.modelAnswerUnusable, "MedLAM gave no position of three finite values.")
        }
        return (SIMD3(Double(values[2]), -Double(values[1]), Double(values[0])), patch.middleLPS)
    }

    /// Offset in patient space (LPS, mm) that leads from one latent position to another.
    static func offsetMM(from: SIMD3<Double>, to: SIMD3<Double>) -> SIMD3<Double> {
        let difference = to - from
        return SIMD3(tanh(difference.x), tanh(difference.y), tanh(difference.z)) * scaleMM
    }
}

/// The median of each coordinate; zero without points.
func median(_ points: [SIMD3<Double>]) -> SIMD3<Double> {
    guard !points.isEmpty else { return .zero }
    func middle(_ values: [Double]) -> Double {
        let sorted = values.sorted(), half = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
    }
    return SIMD3(middle(points.map(\.x)), middle(points.map(\.y)), middle(points.map(\.z)))
}

func length(_ vector: SIMD3<Double>) -> Double { (vector * vector).sum().squareRoot() }

func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }
