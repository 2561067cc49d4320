import ImagingGeometry

/// Lays each support's scan over the query, by translation alone, and takes the structures along: a baseline.
///
/// The best translation has the highest normalised cross-correlation where the two overlap, searched over all translations at 16 mm,
/// then at 8 mm, and between voxels by a parabola an axis.
struct RegistrationLocaliser: StructureLocaliser {
    /// Made for `registration`.
    let templates: TemplateSet
    var threads = 1

    /// Least overlap, as a share of the smaller scan: with less of it, chance decides.
    private static let leastOverlap = 0.4
    /// Fine voxels searched on either side of the coarse result.
    private static let refinement = 2

    func localise(_ volume: WorkingVolume, seed: UInt64, progress: @escaping Progress) throws -> [String: PlacedStructure] {
        guard let body = volume.body, let scenes = templates.scenes else { return [:] }
        let query = CoarsePicture(volume, within: body)
        let shifts = try concurrentMap(scenes.compactMap(\.picture), threads: threads, progress: progress) { Self.shift(of: $0, onto: query) }
        return PlacedStructure.agreed(zip(templates.supports, shifts).map { support, shift in support.mapValues { $0.moved(by: shift) } }, templates)
    }

    /// Where the support's frame lies in the query's, mm; of their middles when they are too small to overlap as they should.
    static func shift(of support: CoarsePicture, onto query: CoarsePicture) -> SIMD3<Double> {
        let coarse = (support.halved(), query.halved())
        let low = SIMD3<Int>.zero &- coarse.0.geometry.size, high = coarse.1.geometry.size
        let start = Correlation(coarse.0, coarse.1).best(low: low, high: high)?.step ?? (coarse.1.geometry.size &- coarse.0.geometry.size) / 2
        let fine = Correlation(support, query)
        let middle = start &* 2, reach = SIMD3(repeating: refinement)
        let step = fine.best(low: middle &- reach, high: middle &+ reach).map { SIMD3<Double>($0.step) + fine.vertex(at: $0.step) } ?? SIMD3<Double>(middle)
        return query.geometry.originLPS - support.geometry.originLPS + step * CoarsePicture.spacingMM
    }

    /// The correlation of two pictures of the same spacing, one moved by whole voxels.
    private struct Correlation {
        let a, b: CoarsePicture

        init(_ a: CoarsePicture, _ b: CoarsePicture) { (self.a, self.b) = (a, b) }

        func best(low: SIMD3<Int>, high: SIMD3<Int>) -> (step: SIMD3<Int>, value: Double)? {
            var best: (step: SIMD3<Int>, value: Double)?
            for z in low.z...high.z {
                for y in low.y...high.y {
                    for x in low.x...high.x {
                        if let value = self[[x, y, z]], value > best?.value ?? -2 { best = ([x, y, z], value) }
                    }
                }
            }
            return best
        }

        /// Offset from the best step to the parabola's vertex, at most half a voxel an axis.
        func vertex(at step: SIMD3<Int>) -> SIMD3<Double> {
            var vertex = SIMD3<Double>.zero
            for axis in 0..<3 {
                var one = SIMD3<Int>.zero
                one[axis] = 1
                guard let below = self[step &- one], let here = self[step], let above = self[step &+ one], below - 2 * here + above < 0 else { continue }
                vertex[axis] = min(max(0.5 * (below - above) / (below - 2 * here + above), -0.5), 0.5)
            }
            return vertex
        }

        /// -1 to 1 when voxel i of `a` lies on voxel i + step of `b`; nil where they overlap too little or one is flat.
        subscript(step: SIMD3<Int>) -> Double? {
            let low = pointwiseMax(.zero, .zero &- step), high = pointwiseMin(a.geometry.size, b.geometry.size &- step), size = high &- low
            guard all(size .> 0), Double(size.x * size.y * size.z) >= leastOverlap * Double(min(a.values.count, b.values.count)) else { return nil }
            let strideA = a.geometry.size, strideB = b.geometry.size
            var sumA = 0, sumB = 0, sumAA = 0, sumBB = 0, sumAB = 0
            a.values.withUnsafeBufferPointer { a in
                b.values.withUnsafeBufferPointer { b in
                    for z in low.z..<high.z {
                        for y in low.y..<high.y {
                            let from = (z &* strideA.y &+ y) &* strideA.x, to = ((z &+ step.z) &* strideB.y &+ y &+ step.y) &* strideB.x &+ step.x
                            for x in low.x..<high.x {
                                let (u, v) = (Int(a[from &+ x]), Int(b[to &+ x]))
                                sumA &+= u
                                sumB &+= v
                                sumAA &+= u &* u
                                sumBB &+= v &* v
                                sumAB &+= u &* v
                            }
                        }
                    }
                }
            }
            let n = Double(size.x * size.y * size.z), meanA = Double(sumA) / n, meanB = Double(sumB) / n
            let varianceA = Double(sumAA) / n - meanA * meanA, varianceB = Double(sumBB) / n - meanB * meanB
            guard varianceA > 1e-9, varianceB > 1e-9 else { return nil }
            return (Double(sumAB) / n - meanA * meanB) / (varianceA * varianceB).squareRoot()
        }
    }
}
