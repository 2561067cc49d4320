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
            let joined = Contours.keyholed(simple)
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

    private func signedArea(_ points: [SIMD2<Double>]) -> Double {
        points.indices.map { n in
            let a = points[n], b = points[(n + 1) % points.count]
            return (a.x * b.y - b.x * a.y) / 2
        }.reduce(0, +)
    }
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
