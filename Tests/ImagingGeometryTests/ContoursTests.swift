import Foundation
import ImagingGeometry
import NodeTesting
import Testing

@Suite struct ContoursTests {
    /// Blobs with holes, noise of several densities, on odd sizes: a slice a seed.
    private func slice(seed: UInt64, columns: Int, rows: Int) -> [UInt8] {
        var random = SplitMix(state: seed)
        let density = Double(seed % 10) / 10 + 0.05
        var slice = (0..<columns * rows).map { _ in UInt8(random.unit() < density ? 1 : 0) }
        if seed % 3 == 0 {   // discs inside one another, as organs have them
            slice = slice.map { _ in 0 }
            for _ in 0..<12 {
                let x = random.unit() * Double(columns), y = random.unit() * Double(rows), r = 1 + random.unit() * Double(columns) / 3
                for j in 0..<rows { for i in 0..<columns where hypot(Double(i) - x, Double(j) - y) < r { slice[j * columns + i] ^= 1 } }
            }
        }
        return slice
    }

    @Test(arguments: 0..<150) func aTracedMaskRasterisesToTheVerySameMask(seed: Int) {
        let columns = 1 + seed * 7 % 41, rows = 1 + seed * 11 % 37
        let mask = slice(seed: UInt64(seed), columns: columns, rows: rows)
        let rings = Contours.trace(mask[...], columns: columns, rows: rows)
        #expect(Contours.rasterise(rings, columns: columns, rows: rows) == mask)
        #expect(Contours.rasterise(Contours.keyholed(rings), columns: columns, rows: rows) == mask, "keyholed")
        let spacing = SIMD2(0.4 + Double(seed % 5) * 0.3, 0.9)
        for tolerance in [0, Contours.harmlessToleranceMM(spacingMM: spacing)] {
            let simple = Contours.simplified(rings, toleranceMM: tolerance, spacingMM: spacing)
            #expect(simple.count == rings.count)
            #expect(Contours.rasterise(simple, columns: columns, rows: rows) == mask, "simplified by \(tolerance)")
            #expect(Contours.areApart(simple), "simplified by \(tolerance)")
            #expect(crossings(simple.map(\.points)) == 0)
            let joined = Contours.keyholed(simple)
            expectBridges(joined, of: simple)
            #expect(!joined.contains { $0.isHole })
            #expect(Contours.rasterise(joined, columns: columns, rows: rows) == mask, "simplified by \(tolerance), keyholed")
        }
    }

    @Test(arguments: 0..<40) func aRingEnclosesHalfAPixelLessThanItsPixels(seed: Int) {
        let mask = slice(seed: UInt64(seed), columns: 30, rows: 20)
        let rings = Contours.trace(mask[...], columns: 30, rows: 20)
        // Holes run the other way round, so their areas count negative.
        let area = rings.map { signedArea($0.points) }.reduce(0, +)
        let expected = rings.map { $0.isHole ? 0.5 : -0.5 }.reduce(Double(mask.map(Int.init).reduce(0, +)), +)
        #expect(abs(area - expected) < 1e-9)
        #expect(rings.allSatisfy { $0.isHole == (signedArea($0.points) < 0) })
        #expect(abs(Contours.keyholed(rings).map { signedArea($0.points) }.reduce(0, +) - area) < 1e-9)
    }

    @Test func aSinglePixelIsADiamond() {
        let rings = Contours.trace([0, 0, 0, 0, 1, 0, 0, 0, 0], columns: 3, rows: 3)
        #expect(rings == [Contour(points: [[1, 0.5], [1.5, 1], [1, 1.5], [0.5, 1]])])
    }

    @Test func straightEdgesLoseTheirCollinearPoints() {
        let block = [UInt8](repeating: 1, count: 20)
        let ring = Contours.simplified(Contours.trace(block[...], columns: 5, rows: 4), toleranceMM: 0, spacingMM: [1, 1])
        // Eight corners, and the first point, which always stays.
        #expect(ring.map(\.points.count) == [8])
    }

    @Test func polygonsReachingBeyondTheSliceAreCut() {
        let big = Contour(points: [[-1e9, -1e9], [1e300, -5], [1e9, 1e9], [-7, 1e300]])
        #expect(Contours.rasterise([big], columns: 4, rows: 3).count == 12)
        let half = Contour(points: [[-50, -50], [1.5, -50], [1.5, 50], [-50, 50]])
        #expect(Contours.rasterise([half], columns: 4, rows: 2) == [1, 1, 0, 0, 1, 1, 0, 0])
        #expect(Contours.rasterise([Contour(points: [[.nan, 0], [1, .infinity], [3, 3]])], columns: 4, rows: 3).count == 12)
    }

    @Test func scikitImageFillsTheKeyholedPolygonsToTheSameMask() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let cases = (0..<30).map { seed -> [String: Any] in
            let columns = 40 + seed, rows = 31
            let mask = slice(seed: UInt64(seed * 3), columns: columns, rows: rows)
            let rings = Contours.simplified(Contours.trace(mask[...], columns: columns, rows: rows),
                                            toleranceMM: Contours.harmlessToleranceMM(spacingMM: [1, 1]), spacingMM: [1, 1])
            return ["columns": columns, "rows": rows, "mask": mask.map(Int.init),
                    "polygons": Contours.keyholed(rings).map { $0.points.map { [$0.x, $0.y] } }]
        }
        try JSONSerialization.data(withJSONObject: cases).write(to: folder.appending(path: "cases.json"))
        let judge = """
        import json, sys, numpy as np
        from skimage.draw import polygon
        for c in json.load(open(sys.argv[1])):
            mask = np.zeros((c["rows"], c["columns"]), int)
            for p in c["polygons"]:
                x, y = np.array(p).T
                mask[polygon(y, x, mask.shape)] ^= 1
            print("differing pixels", (mask != np.array(c["mask"]).reshape(mask.shape)).sum())
        """
        let result = try runTool(Places.python, ["-c", judge, folder.appending(path: "cases.json").path])
        #expect(result.status == 0)
        #expect(result.output.split(separator: "\n").count == 30)
        #expect(result.output.split(separator: "\n").allSatisfy { $0 == "differing pixels 0" }, "\(result.output)")
    }

    /// Blurred noise and discs: a slice of probabilities and its mask.
    private func likely(seed: UInt64, columns: Int, rows: Int) -> (probabilities: [UInt8], mask: [UInt8]) {
        let sharp = slice(seed: seed, columns: columns, rows: rows)
        var random = SplitMix(state: seed &+ 77)
        let values = (0..<columns * rows).map { n -> UInt8 in
            var sum = 0.0, weights = 0.0
            for dj in -1...1 { for di in -1...1 {
                let (i, j) = (n % columns + di, n / columns + dj), weight = di == 0 && dj == 0 ? 2.0 : 1.0
                weights += weight
                if i >= 0, j >= 0, i < columns, j < rows { sum += weight * Double(sharp[j * columns + i]) }
            } }
            return UInt8(min(255, max(0, 255 * sum / weights + 40 * (random.unit() - 0.5))))
        }
        return (values, values.map { $0 >= 128 ? 1 : 0 })
    }

    private func plane(_ slice: (probabilities: [UInt8], mask: [UInt8]), _ columns: Int, _ rows: Int) -> ContourPlane? {
        slice.mask.withUnsafeBufferPointer { mask in slice.probabilities.withUnsafeBufferPointer { ContourPlane(mask: mask, probabilities: $0, columns: columns, rows: rows) } }
    }

    @Test(arguments: 0..<100) func contoursBetweenPixelsPartTheVerySamePixels(seed: Int) {
        let columns = 1 + seed * 7 % 41, rows = 1 + seed * 11 % 37
        let slice = likely(seed: UInt64(seed), columns: columns, rows: rows)
        let rings = plane(slice, columns, rows)?.rings() ?? []
        #expect(Contours.rasterise(rings, columns: columns, rows: rows) == slice.mask)
        #expect(Contours.areApart(rings) && crossings(rings.map(\.points)) == 0)
        let joined = Contours.keyholed(rings)
        #expect(Contours.rasterise(joined, columns: columns, rows: rows) == slice.mask, "keyholed")
        expectBridges(joined, of: rings)
    }

    @Test func contoursBetweenPixelsRunWhereOneHalfIs() {
        // A slope of 20 a pixel along rows: one half is at column 2.125.
        let row: [UInt8] = [170, 150, 130, 110, 90, 70], slice = ((0..<4).flatMap { _ in row }, (0..<4).flatMap { _ in row.map { $0 >= 128 ? UInt8(1) : 0 } })
        let points = plane(slice, 6, 4)?.rings().flatMap(\.points).filter { $0.x > 2 && $0.y == $0.y.rounded() } ?? []
        #expect(points.count == 4 && points.allSatisfy { abs($0.x - 2.125) < 1e-12 }, "\(points)")
    }

    @Test(arguments: 0..<60) func halvesOfARegionAreTogetherTheSameRegion(seed: Int) throws {
        let columns = 5 + seed % 30, rows = 4 + seed * 3 % 25
        let slice = likely(seed: UInt64(seed), columns: columns, rows: rows)
        let whole = plane(seed % 2 == 0 ? slice : (slice.mask.map { $0 &* 255 }, slice.mask), columns, rows)
        guard let whole else { return }
        for region in Contours.regions(whole.rings()) {
            let pixels = Contours.rasterise(region.rings, columns: columns, rows: rows)
            guard let (halves, cut) = whole.halves(ofRegionAlong: region.outer) else {
                #expect(pixels.map(Int.init).reduce(0, +) == 1)
                continue
            }
            let parts = halves.map { $0.rings() }
            #expect(parts.allSatisfy(Contours.areApart))
            let drawn = parts.map { Contours.rasterise($0, columns: columns, rows: rows).map(Int.init) }
            // Joined and exclusive: no pixel is in both.
            #expect(zip(drawn[0], drawn[1]).map { $0 + $1 } == pixels.map(Int.init))
            // Thinned, the parts still meet on the line.
            for (part, tolerance) in parts.flatMap({ part in [(part, 0.0), (part, 0.5)] }) {
                let thin = Contours.simplified(part, toleranceMM: tolerance, spacingMM: [1, 1], cuts: [cut])
                // What is too small for the tolerance is dropped.
                guard thin.count == part.count else { continue }
                let along = { (rings: [Contour]) in rings.flatMap(\.points).filter(cut.holds).map { $0.x + $0.y } }
                #expect(along(thin).min() == along(part).min() && along(thin).max() == along(part).max() && !along(part).isEmpty)
            }
        }
    }

    @Test(arguments: 0..<60) func filledHolesAreGoneAndNothingElse(seed: Int) throws {
        let columns = 20, rows = 17, mask = slice(seed: UInt64(seed), columns: columns, rows: rows)
        var filled = try #require(mask.withUnsafeBufferPointer { ContourPlane(mask: $0, columns: columns, rows: rows) })
        filled.fillHoles()
        let rings = filled.rings(), found = Contours.rasterise(rings, columns: columns, rows: rows)
        #expect(!rings.contains { $0.isHole })
        // The same as forgetting the holes, and the islands in them.
        let outer = Contours.trace(mask[...], columns: columns, rows: rows).filter { !$0.isHole }
        let expected = outer.reduce([UInt8](repeating: 0, count: mask.count)) { sum, ring in
            zip(sum, Contours.rasterise([ring], columns: columns, rows: rows)).map { $0 | $1 }
        }
        #expect(found == expected)
    }

    @Test func whatLiesWithinOthersIsAHoleAndWhatOverlapsIsJoined() {
        func square(_ low: Double, _ high: Double) -> Contour { Contour(points: [[low, low], [high, low], [high, high], [low, high]]) }
        func drawn(_ contours: [Contour]) -> Int {
            var slice = [UInt8](repeating: 0, count: 400)
            slice.withUnsafeMutableBufferPointer { Contours.rasterise(nested: contours, into: $0, columns: 20, rows: 20) }
            return slice.map(Int.init).reduce(0, +)
        }
        let outer = square(1.5, 17.5), hole = square(4.5, 14.5), island = square(7.5, 11.5)
        #expect(drawn([outer]) == 256)
        #expect(drawn([hole, outer]) == 156 && drawn([outer, hole]) == 156)
        #expect(drawn([island, outer, hole]) == 172)
        #expect(drawn([outer, outer]) == 256, "one told twice")
        #expect(drawn([outer, square(10.5, 25)]) == 256 + 81 - 49, "joined, and cut at the rim")
        // A hole by hand, one of its 110 pixels outside.
        let poking = Contour(points: [[6.5, 7.5], [17.5, 7.5], [17.5, 16.5], [18.5, 16.5], [18.5, 17.5], [6.5, 17.5]])
        #expect(drawn([outer, poking]) == 256 - 110)
    }

    @Test func ringsThatTouchOrChangeSidesAreNotApart() {
        let ring = Contour(points: [[0, 0], [10, 0], [10, 10], [0, 10]])
        func hole(_ points: [SIMD2<Double>]) -> Contour { Contour(points: points, isHole: true) }
        #expect(Contours.areApart([ring, hole([[2, 2], [2, 4], [4, 4], [4, 2]])]))
        #expect(!Contours.areApart([ring, hole([[2, 2], [4, 2], [4, 4], [2, 4]])]), "runs the wrong way")
        #expect(!Contours.areApart([ring, hole([[12, 2], [12, 4], [14, 4], [14, 2]])]), "outside")
        #expect(!Contours.areApart([ring, hole([[8, 2], [8, 4], [12, 4], [12, 2]])]), "across")
        #expect(!Contours.areApart([ring, Contour(points: [[2, 2], [4, 2], [4, 4]])]), "an island that was swallowed")
        #expect(!Contours.areApart([Contour(points: [[0, 0], [4, 4], [4, 0], [0, 4]])]), "a figure of eight")
        #expect(!Contours.areApart([Contour(points: [[0, 0], [4, 0], [2, 0], [2, 3]])]), "folded back")
    }

    /// Pairs of edges that cross in the inside of both, or that overlap: counted one by one.
    private func crossings(_ polygons: [[SIMD2<Double>]]) -> Int {
        let edges = polygons.flatMap { points in points.indices.map { (points[$0], points[($0 + 1) % points.count]) } }
        guard edges.count < 400 else { return 0 }
        func side(_ a: SIMD2<Double>, _ b: SIMD2<Double>, _ p: SIMD2<Double>) -> Double { (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x) }
        var count = 0
        for n in edges.indices {
            for m in edges.indices where m > n {
                let (a, b) = edges[n], (c, d) = edges[m]
                if side(a, b, c) * side(a, b, d) < -1e-12, side(c, d, a) * side(c, d, b) < -1e-12 { count += 1 }
            }
        }
        return count
    }

    /// A keyhole's bridges are run through both ways, and cross nothing; all else is the rings' own edges.
    private func expectBridges(_ joined: [Contour], of rings: [Contour]) {
        #expect(!joined.contains { $0.isHole } && crossings(joined.map(\.points)) == 0)
        #expect(joined.allSatisfy { polygon in polygon.points.indices.allSatisfy { polygon.points[$0] != polygon.points[($0 + 1) % polygon.points.count] } }, "repeated points")
        let corners = Set(rings.flatMap(\.points))
        for polygon in joined {
            let edges = polygon.points.indices.map { [polygon.points[$0], polygon.points[($0 + 1) % polygon.points.count]] }
            let there = Set(edges)
            // An edge that is there both ways is a bridge: level, and from a corner of a ring.
            let bridges = edges.filter { there.contains([$0[1], $0[0]]) }
            #expect(bridges.allSatisfy { $0[0].y == $0[1].y && (corners.contains($0[0]) || corners.contains($0[1])) })
        }
        let areas: [Double] = [joined, rings].map { polygons in polygons.reduce(0) { $0 + $1.signedArea } }
        #expect(abs(areas[0] - areas[1]) < 1e-6)
    }

    private func signedArea(_ points: [SIMD2<Double>]) -> Double { Contour(points: points).signedArea }
}

/// SplitMix64 (Steele et al. 2014): the same numbers for the same seed.
private struct SplitMix {
    var state: UInt64
    mutating func unit() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((z ^ (z >> 31)) >> 11) / 9007199254740992
    }
}
