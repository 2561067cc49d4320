extension Contours {
    /// The largest displacement, in millimetres, that cannot move a traced ring across a pixel centre or another ring.
    ///
    /// A ring's diagonal steps pass the nearest centre at half the height of the triangle of both spacings.
    public static func harmlessToleranceMM(spacingMM: SIMD2<Double>) -> Double {
        // The tenth left over is for coordinates rounded to hundredths of a millimetre.
        0.9 * spacingMM.x * spacingMM.y / (2 * (spacingMM * spacingMM).sum().squareRoot())
    }

    /// Leaves out points that lie within a tolerance of the line that replaces them (Douglas and Peucker 1973).
    ///
    /// A tolerance of 0 leaves out collinear points only. The first point, which a keyhole starts from, stays. What is left with
    /// fewer than three points is dropped; that needs a tolerance above `harmlessToleranceMM`.
    public static func simplified(_ contours: [Contour], toleranceMM: Double, spacingMM: SIMD2<Double>) -> [Contour] {
        contours.compactMap { contour in
            let points = simplified(ring: contour.points, toleranceMM: toleranceMM, spacingMM: spacingMM)
            return points.count < 3 ? nil : Contour(points: points, isHole: contour.isHole)
        }
    }

    private static func simplified(ring: [SIMD2<Double>], toleranceMM: Double, spacingMM: SIMD2<Double>) -> [SIMD2<Double>] {
        guard ring.count > 3 else { return ring }
        let points = (ring + [ring[0]]).map { $0 * spacingMM }
        // Collinear points miss the line by rounding, far below a micrometre.
        let limit = max(toleranceMM, 1e-6)
        let far = ring.indices.max { distanceSquared(points[$0], points[0]) < distanceSquared(points[$1], points[0]) }!
        var kept = [Bool](repeating: false, count: ring.count)
        kept[0] = true
        kept[far] = true
        var spans = [(0, far), (far, ring.count)]
        while let (a, b) = spans.popLast() {
            guard b - a > 1 else { continue }
            var worst = a, miss = limit * limit
            for i in a + 1..<b {
                let d = distanceSquared(points[i], toSegment: points[a], points[b])
                if d > miss { (worst, miss) = (i, d) }
            }
            guard worst != a else { continue }
            kept[worst] = true
            spans += [(a, worst), (worst, b)]
        }
        return ring.indices.filter { kept[$0] }.map { ring[$0] }
    }

    private static func distanceSquared(_ a: SIMD2<Double>, _ b: SIMD2<Double>) -> Double {
        ((a - b) * (a - b)).sum()
    }

    private static func distanceSquared(_ p: SIMD2<Double>, toSegment a: SIMD2<Double>, _ b: SIMD2<Double>) -> Double {
        let d = b - a, length = (d * d).sum()
        guard length > 0 else { return distanceSquared(p, a) }
        return distanceSquared(p, a + min(1, max(0, ((p - a) * d).sum() / length)) * d)
    }
}
