import Foundation
import ImagingGeometry
import NodeTesting
import Testing

@Suite struct VolumeGeometryTests {
    @Test func anIndexSurvivesTheWayToThePatientAndBack() {
        var random = Seeded(1)
        for _ in 0..<2000 {
            let geometry = randomGeometry(&random)
            #expect(geometry.orthonormality < 1e-12)
            let index = SIMD3<Double>.random(in: -10...700, using: &random)
            let back = geometry.patientToIndex(geometry.indexToPatient(index))
            #expect(largest(back - index) < 1e-6, "\(geometry)")
        }
    }

    @Test func aPositionIsOriginPlusStepsAlongTheRows() {
        // PS3.3 C.7.6.2.1.1 with the feet-first numbers of a real GE slice stack.
        let geometry = VolumeGeometry(size: [512, 512, 41], spacingMM: [0.796875, 0.796875, 5], originLPS: [-198.2, -204, -375])
        #expect(geometry.indexToPatient([0, 0, 40]) == [-198.2, -204, -175])
        #expect(geometry.indexToPatient([2, 1, 0]) == [-198.2 + 2 * 0.796875, -204 + 0.796875, -375])
    }

    @Test func oneRowDownAndOneSliceUpMakeARightHandedFrame() {
        let coronal = VolumeGeometry(size: [4, 5, 6], spacingMM: [1, 2, 3], originLPS: .zero, columnIndexDirection: [1, 0, 0], rowIndexDirection: [0, 0, -1])
        #expect(coronal.sliceIndexDirection == [0, 1, 0])
        #expect(coronal.indexToPatient([1, 1, 1]) == [1, 3, -2])
    }

    @Test func aCrookedFrameIsSeen() {
        func frame(_ a: SIMD3<Double>, _ b: SIMD3<Double>) -> Double {
            VolumeGeometry(size: .one, spacingMM: .one, originLPS: .zero, columnIndexDirection: a, rowIndexDirection: b).orthonormality
        }
        #expect(frame([1, 0, 0], [0, 1, 0]) == 0)
        #expect(abs(frame([1, 0, 0], [0.1, 1, 0]) - 0.1) < 1e-12)
        #expect(abs(frame([2, 0, 0], [0, 1, 0]) - 1) < 1e-12)
        #expect(frame([1, 0, 0], [0, .nan, 0]).isNaN)
    }

    @Test func anotherSpacingKeepsTheOuterCornerAndTheExtent() {
        var random = Seeded(2)
        for _ in 0..<200 {
            let old = randomGeometry(&random, sizes: 20...300), new = old.withSpacing([3, 3, 3])
            let corner = old.indexToPatient([-0.5, -0.5, -0.5])
            #expect(largest(new.indexToPatient([-0.5, -0.5, -0.5]) - corner) < 1e-9)
            #expect(largest(new.extentMM - old.extentMM) <= 1.5 + 1e-9)
        }
    }

    @Test func aPartOfTheGridLiesWhereItWasCutFrom() {
        var random = Seeded(3)
        let geometry = randomGeometry(&random, sizes: 30...60)
        let box = VoxelBox(lower: [-2, 4, 6], upper: [9, 9, 9])
        let part = geometry.part(box)
        #expect(part.size == [12, 6, 4])
        #expect(largest(part.indexToPatient([2, 0, 1]) - geometry.indexToPatient([0, 4, 7])) < 1e-9)
        #expect(box.grown(by: [1, 1, 1], within: geometry) == VoxelBox(lower: [0, 3, 5], upper: [10, 10, 10]))
        #expect(VoxelBox(lower: [-9, 0, 0], upper: [-5, 1, 1]).grown(by: .one, within: geometry) == nil)
    }
}
