extension Contours {
    /// The largest displacement, in millimetres, that cannot move a traced mask's ring across a pixel centre or another ring.
    ///
    /// A ring's diagonal steps pass the nearest centre at half the height of the triangle of both spacings.
    public static func harmlessToleranceMM(spacingMM: SIMD2<Double>) -> Double {
        // The tenth left over is for coordinates rounded to hundredths of a millimetre.
        0.9 * spacingMM.x * spacingMM.y / (2 * (spacingMM * spacingMM).sum().squareRoot())
    }

    /// Leaves out points that lie within a tolerance of the line that replaces them (Douglas and Peucker 1973).
    ///
    /// A tolerance of 0 leaves out collinear points only. The first point stays, and so do those on a cut. What is left with
    /// fewer than three points is dropped; that needs a tolerance above `harmlessToleranceMM`. Above that, rings may also come to cross each
    /// other or themselves: see `areApart`.
    public static func simplified(_ contours: [Contour], toleranceMM: Double, spacingMM: SIMD2<Double>, cuts: [ContourCut] = []) -> [Contour] {
        contours.compactMap { contour in
            let points = simplified(ring: contour.points, toleranceMM: toleranceMM, spacingMM: spacingMM, cuts: cuts)
            return points.count < 3 ? nil : Contour(points: points, isHole: contour.isHole)
        }
    }

    /// Collinear points miss the line by rounding, far below a micrometre.
    private static let collinearMM = 1e-6

    private static func simplified(ring: [SIMD2<Double>], toleranceMM: Double, spacingMM: SIMD2<Double>, cuts: [ContourCut]) -> [SIMD2<Double>] {
        guard ring.count > 3 else { return ring }
        let points = ring.map { $0 * spacingMM } + [ring[0] * spacingMM]
        let far = ring.indices.max { distanceSquared(points[$0], points[0]) < distanceSquared(points[$1], points[0]) }!
        var kept = [Bool](repeating: false, count: ring.count)
        kept[0] = true
        kept[far] = true
        for n in ring.indices where cuts.contains(where: { $0.holds(ring[n]) }) { kept[n] = true }
        points.withUnsafeBufferPointer { thin($0, toleranceMM: max(toleranceMM, collinearMM), &kept) }
        let rest = ring.indices.filter { kept[$0] }.map { ring[$0] }
        // Points on a cut were all kept, most of them for nothing.
        return cuts.isEmpty ? rest : simplified(ring: rest, toleranceMM: 0, spacingMM: spacingMM, cuts: [])
    }

    /// Marks what must stay between the points that are marked already; the last of `points` is the first once more.
    private static func thin(_ points: UnsafeBufferPointer<SIMD2<Double>>, toleranceMM: Double, _ kept: inout [Bool]) {
        let marks = kept.indices.filter { kept[$0] } + [points.count - 1]
        var spans = Array(zip(marks, marks.dropFirst()))
        while let (a, b) = spans.popLast() {
            guard b - a > 1 else { continue }
            let start = points[a], d = points[b] - start, length = (d * d).sum()
            var worst = a, miss = toleranceMM * toleranceMM, i = a + 1
            while i < b {
                var away = points[i] - start
                if length > 0 { away -= min(1, max(0, (away * d).sum() / length)) * d }
                let distance = (away * away).sum()
                if distance > miss { (worst, miss) = (i, distance) }
                i &+= 1
            }
            guard worst != a else { continue }
            kept[worst] = true
            spans.append((a, worst))
            spans.append((worst, b))
        }
    }

    private static func distanceSquared(_ a: SIMD2<Double>, _ b: SIMD2<Double>) -> Double {
        ((a - b) * (a - b)).sum()
    }
}
