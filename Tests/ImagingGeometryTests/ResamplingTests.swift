import Foundation
import ImagingGeometry
import NodeTesting
import Testing

@Suite struct ResamplingTests {
    /// Air with one bright block in the patient's left anterior superior corner.
    private func phantom(_ geometry: VolumeGeometry) -> Volume {
        Volume(geometry: geometry, voxels: (0..<geometry.count).map {
            let p = geometry.indexToPatient(SIMD3<Double>(geometry.index(atOffset: $0)))
            return p.x > 10 && p.y < -20 && p.z > 5 ? 1000 : -1000
        })
    }

    @Test(arguments: [
        ("head first supine", SIMD3(1.0, 0, 0), SIMD3(0.0, 1, 0)),
        ("prone", [-1, 0, 0], [0, -1, 0]),
        ("lying on the right side", [0, 1, 0], [-1, 0, 0]),
        ("coronal", [1, 0, 0], [0, 0, -1]),
        ("sagittal", [0, 1, 0], [0, 0, -1]),
        ("turned by 12 degrees", [cos(0.21), sin(0.21), 0], [-sin(0.21), cos(0.21), 0]),
        ("tipped", [1, 0, 0], [0, cos(0.4), sin(0.4)]),
    ] as [(String, SIMD3<Double>, SIMD3<Double>)])
    func leftStaysLeft(name: String, columns: SIMD3<Double>, rows: SIMD3<Double>) throws {
        let frame = VolumeGeometry(size: [56, 50, 44], spacingMM: [2, 2.2, 2.5], originLPS: .zero, columnIndexDirection: columns, rowIndexDirection: rows)
        let centred = VolumeGeometry(size: frame.size, spacingMM: frame.spacingMM, originLPS: -frame.centreLPS,
                                     columnIndexDirection: columns, rowIndexDirection: rows)
        let axial = VolumeGeometry(size: [26, 26, 26], spacingMM: [3, 3, 3], originLPS: [-37.5, -37.5, -37.5])
        let found = phantom(centred).resampled(to: axial, outside: -1000), expected = phantom(axial)
        // Each resampling draws the block's faces a voxel or two wide: away from them all must agree.
        let differing = (0..<axial.count).filter { n in
            let p = axial.indexToPatient(SIMD3<Double>(axial.index(atOffset: n)))
            return min(abs(p.x - 10), abs(p.y + 20), abs(p.z - 5)) > 5 && found.voxels[n] != expected.voxels[n]
        }
        #expect(differing.isEmpty, "\(name): \(differing.count) voxels")
        #expect(found.voxels.contains(1000))
    }

    @Test func theSameGridGivesTheSameVoxels() {
        let volume = texture(VolumeGeometry(size: [9, 8, 7], spacingMM: [1, 1, 2], originLPS: .zero))
        #expect(volume.resampled(to: volume.geometry, outside: 0).voxels == volume.voxels)
        // A hair of rounding in the origin takes the long way and must arrive at the same.
        let nudged = VolumeGeometry(size: [9, 8, 7], spacingMM: [1, 1, 2], originLPS: [1e-9, 0, 0])
        #expect(volume.resampled(to: nudged, outside: 0).voxels == volume.voxels)
    }

    @Test func aCoarserGridHoldsMeans() {
        let geometry = VolumeGeometry(size: [12, 12, 12], spacingMM: [1, 1, 1], originLPS: .zero)
        // Stripes at the finest wavelength: point sampling would give all or nothing.
        let stripes = Volume(geometry: geometry, voxels: (0..<geometry.count).map { $0 % 2 == 0 ? 0 : 300 })
        let coarse = stripes.resampled(to: geometry.withSpacing([4, 3, 2]), outside: -1)
        #expect(coarse.geometry.size == [3, 4, 6])
        #expect(coarse.voxels.allSatisfy { $0 == 150 })
    }

    @Test func beyondTheOuterFacesLiesTheOutside() {
        let geometry = VolumeGeometry(size: [4, 4, 4], spacingMM: [1, 1, 1], originLPS: .zero)
        let volume = Volume(geometry: geometry, voxels: [Int16](repeating: 7, count: 64))
        let target = VolumeGeometry(size: [14, 1, 1], spacingMM: [0.5, 1, 1], originLPS: [-1.5, 0, 0])
        #expect(volume.resampled(to: target, outside: -9).voxels == [-9, -9] + [Int16](repeating: 7, count: 9) + [-9, -9, -9])
    }

    @Test func aMaskComesBackFromACoarserGridWithItsVolume() throws {
        let fine = VolumeGeometry(size: [80, 80, 40], spacingMM: [1, 1, 2], originLPS: [-40, -40, -40])
        let ball = Mask(geometry: fine, voxels: (0..<fine.count).map {
            let p = fine.indexToPatient(SIMD3<Double>(fine.index(atOffset: $0))) - [3, -5, 4]
            return (p * p).sum() < 400 ? 1 : 0
        })
        for (interpolation, shiftMM) in [(Mask.Interpolation.nearest, 1.0), (.linear, 0.3)] {
            let back = ball.resampled(to: fine.withSpacing([3, 3, 3]), interpolation).resampled(to: fine, interpolation)
            #expect(abs(back.volumeML / ball.volumeML - 1) < 0.05)
            #expect(try #require(back.dice(ball)) > 0.93)
            let apart = try #require(back.centroidLPS) - (try #require(ball.centroidLPS))
            #expect(largest(apart) < shiftMM, "\(interpolation)")
        }
    }

    @Test(.enabled(if: hasPython, "needs .local/venv")) func interpolationEqualsScipys() throws {
        var random = Seeded(4)
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        for round in 0..<6 {
            let source = randomGeometry(&random, sizes: 12...24), volume = texture(source)
            // Never coarser than the source: odd rounds share its axes, even ones are oblique.
            let spacing = source.spacingMM * Double.random(in: 0.5...0.99, using: &random)
            let oblique = randomGeometry(&random, sizes: 20...20)
            let finest = SIMD3<Double>(repeating: source.spacingMM.min() * 0.7)
            let target = VolumeGeometry(size: [20, 19, 18], spacingMM: round % 2 == 0 ? finest : spacing,
                                        originLPS: source.indexToPatient([1.3, 0.2, -0.4]),
                                        columnIndexDirection: round % 2 == 0 ? oblique.columnIndexDirection : source.columnIndexDirection,
                                        rowIndexDirection: round % 2 == 0 ? oblique.rowIndexDirection : source.rowIndexDirection)
            let positions = (0..<target.count).map { source.patientToIndex(target.indexToPatient(SIMD3<Double>(target.index(atOffset: $0)))) }
            try volume.voxels.data.write(to: folder.appending(path: "voxels"))
            try positions.flatMap { [$0.z, $0.y, $0.x] }.data.write(to: folder.appending(path: "positions"))
            let script = """
                import numpy as np, scipy.ndimage as n, sys
                f = sys.argv[1]; shape = [int(v) for v in sys.argv[2:5]]
                v = np.fromfile(f + '/voxels', '<i2').reshape(shape).astype(float)
                p = np.fromfile(f + '/positions', '<f8').reshape(-1, 3).T
                r = n.map_coordinates(v, p, order=1, mode='nearest')
                inside = ((p >= -.5) & (p <= np.array(shape)[:, None] - .5)).all(0)
                np.where(inside, r, -5000).astype('<f8').tofile(f + '/result')
                """
            let judge = try runTool(Places.python, ["-c", script, folder.path, "\(source.size.z)", "\(source.size.y)", "\(source.size.x)"])
            try #require(judge.status == 0, "\(judge.output)")
            let expected = [Double](try Data(contentsOf: folder.appending(path: "result")), as: Double.self)
            let found = volume.resampled(to: target, outside: -5000)
            let worst = zip(found.voxels, expected).map { abs(Double($0) - $1) }.max()!
            #expect(worst <= 0.51, "round \(round): \(worst)")
            #expect(expected.contains { $0 > -5000 })
        }
    }
}
