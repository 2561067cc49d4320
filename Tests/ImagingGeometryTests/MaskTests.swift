import Foundation
import ImagingGeometry
import NodeTesting
import Testing

@Suite struct MaskTests {
    private let geometry = VolumeGeometry(size: [21, 18, 11], spacingMM: [1, 2, 3], originLPS: [5, 6, 7])

    private func speckled(_ seed: UInt64, chance: Double) -> Mask {
        var random = Seeded(seed)
        return Mask(geometry: geometry, voxels: (0..<geometry.count).map { _ in Double.random(in: 0..<1, using: &random) < chance ? 1 : 0 })
    }

    @Test func measuresOfABlockAreThoseOfABlock() throws {
        var mask = Mask(empty: geometry)
        for k in 2...4 { for j in 3...3 { for i in 5...8 { mask.voxels[geometry.offset([i, j, k])] = 1 } } }
        #expect(mask.count == 12)
        #expect(abs(mask.volumeML - 0.072) < 1e-12)
        #expect(mask.boundingBox == VoxelBox(lower: [5, 3, 2], upper: [8, 3, 4]))
        #expect(mask.centroidLPS == geometry.indexToPatient([6.5, 3, 3]))
        #expect(mask.dice(mask) == 1)
        #expect(mask.dice(Mask(empty: geometry)) == 0)
    }

    @Test func anEmptyMaskHasNothingToMeasure() {
        let mask = Mask(empty: geometry)
        #expect(mask.isEmpty && mask.boundingBox == nil && mask.centroidLPS == nil && mask.dice(mask) == nil)
        #expect(mask.connectedComponents().isEmpty && mask.largestComponent().isEmpty && mask.fillingHolesPerSlice().isEmpty)
    }

    @Test func ofEqualPiecesTheFirstIsKept() {
        var mask = Mask(empty: geometry)
        mask.voxels[geometry.offset([3, 3, 3])] = 1
        mask.voxels[geometry.offset([4, 4, 3])] = 1  // touches by an edge only
        #expect(mask.connectedComponents().map(\.offsets) == [[geometry.offset([3, 3, 3])], [geometry.offset([4, 4, 3])]])
    }

    @Test(.enabled(if: hasPython, "needs .local/venv"), arguments: [0.2, 0.35, 0.6])
    func piecesAndHolesEqualScipys(chance: Double) throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let mask = speckled(7, chance: chance)
        try mask.voxels.data.write(to: folder.appending(path: "mask"))
        let script = """
            import numpy as np, scipy.ndimage as n, sys
            f = sys.argv[1]
            m = np.fromfile(f + '/mask', 'u1').reshape(11, 18, 21)
            labels, count = n.label(m)
            np.array([n.binary_fill_holes(s) for s in m]).astype('u1').tofile(f + '/filled')
            (labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])).astype('u1').tofile(f + '/largest')
            print(*sorted(np.bincount(labels.ravel())[1:], reverse=True))
            """
        let judge = try runTool(Places.python, ["-c", script, folder.path])
        try #require(judge.status == 0, "\(judge.output)")
        #expect(mask.connectedComponents().map(\.count) == judge.output.split { $0.isWhitespace }.compactMap { Int($0) })
        #expect(mask.largestComponent().voxels == Array(try Data(contentsOf: folder.appending(path: "largest"))))
        #expect(mask.fillingHolesPerSlice().voxels == Array(try Data(contentsOf: folder.appending(path: "filled"))))
    }
}
