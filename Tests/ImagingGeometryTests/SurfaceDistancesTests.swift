import Foundation
import ImagingGeometry
import NodeTesting
import Testing

@Suite struct SurfaceDistancesTests {
    private let geometry = VolumeGeometry(size: [32, 28, 24], spacingMM: [4, 3.5, 2.5], originLPS: [5, 6, 7])

    private func mask(_ isInside: (SIMD3<Double>) -> Bool) -> Mask {
        Mask(geometry: geometry, voxels: (0..<geometry.count).map { isInside(SIMD3<Double>(geometry.index(atOffset: $0))) ? 1 : 0 })
    }

    private func ellipsoid(_ centre: SIMD3<Double>, _ radii: SIMD3<Double>) -> Mask {
        mask { (($0 - centre) / radii * (($0 - centre) / radii)).sum() < 1 }
    }

    @Test func aMaskShiftedByOneSliceIsOneSliceAway() throws {
        let block = mask { $0.min() >= 6 && $0.max() < 14 }, shifted = mask { ($0 - [0, 0, 1]).min() >= 6 && ($0 - [0, 0, 1]).max() < 14 }
        let distances = try #require(SurfaceDistances(block, shifted))
        #expect(distances.hausdorffMM(share: 1) == 2.5)
        #expect(distances.dice(toleranceMM: 2.5) == 1)
        #expect(distances.dice(toleranceMM: 2) < 1)
        #expect(SurfaceDistances(block, block)?.hausdorffMM() == 0)
    }

    @Test func whatIsEmptyHasNoSurface() {
        #expect(SurfaceDistances(Mask(empty: geometry), ellipsoid([10, 10, 10], [5, 5, 5])) == nil)
    }

    /// DeepMind's own measures, on shapes whose surfaces never touch themselves at an edge or corner of voxels.
    @Test(.enabled(if: hasPython, "needs .local/venv"))
    func distancesEqualTheAuthorsPackage() throws {
        let small = ellipsoid([9, 10, 8], [5, 6, 4]), shells = mask { p in
            let r = ((p - [14, 13, 12]) * (p - [14, 13, 12])).sum()
            return r < 100 && r > 30
        }
        for (a, b) in [(ellipsoid([14, 12, 11], [8, 6, 7]), ellipsoid([15.5, 12, 10], [7, 7, 8])), (small, shells), (small, ellipsoid([26, 20, 18], [3, 4, 5]))] {
            let (ours, theirs) = try both(a, b)
            #expect(zip(ours, theirs).allSatisfy { abs($0 - $1) < 1e-9 }, "\(ours) \(theirs)")
        }
    }

    /// Where voxels touch at an edge or corner only, areas are a matter of taste: the package's table leaves some patches out.
    @Test(.enabled(if: hasPython, "needs .local/venv"))
    func raggedSurfacesAgreeNearly() throws {
        var random = Seeded(3)
        let rough = ellipsoid([14, 12, 11], [8, 6, 7])
        var ragged = rough
        for n in ragged.voxels.indices where Double.random(in: 0..<1, using: &random) < 0.02 { ragged.voxels[n] = 1 }
        let (ours, theirs) = try both(rough, ragged)
        #expect(ours[0] == theirs[0] && ours[1] == theirs[1], "\(ours) \(theirs)")
        #expect(zip(ours.dropFirst(2), theirs.dropFirst(2)).allSatisfy { abs($0 - $1) < 0.01 }, "\(ours) \(theirs)")
    }

    /// HD100, HD95, surface Dice at 1, 3 and 6 mm, by us and by the `surface-distance` package.
    private func both(_ a: Mask, _ b: Mask) throws -> (ours: [Double], theirs: [Double]) {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        try a.voxels.data.write(to: folder.appending(path: "a"))
        try b.voxels.data.write(to: folder.appending(path: "b"))
        let size = geometry.size, spacing = geometry.spacingMM
        let script = """
            import numpy as np, sys, surface_distance as s
            a, b = (np.fromfile(sys.argv[1] + name, 'u1').reshape(\(size.z), \(size.y), \(size.x)).astype(bool) for name in ('/a', '/b'))
            d = s.compute_surface_distances(a, b, (\(spacing.z), \(spacing.y), \(spacing.x)))
            print(*[s.compute_robust_hausdorff(d, p) for p in (100, 95)], *[s.compute_surface_dice_at_tolerance(d, t) for t in (1, 3, 6)])
            """
        let judge = try runTool(Places.python, ["-c", script, folder.path])
        try #require(judge.status == 0, "\(judge.output)")
        let ours = try #require(SurfaceDistances(a, b))
        return ([ours.hausdorffMM(share: 1), ours.hausdorffMM()] + [1, 3, 6].map(ours.dice(toleranceMM:)),
                judge.output.split { $0.isWhitespace }.compactMap { Double($0) })
    }
}
