import Foundation
import ImagingGeometry
import Testing

@testable import MedLSAM

@Suite struct TemplateSetTests {
    @Test func aTemplateSetSurvivesBeingWrittenAndRead() throws {
        let set = try phantomTemplates(), read = try TemplateSet(decoding: set.encoded())
        #expect((read.name, read.version, read.medlamDigest, read.structures) == ("phantom", 3, "fake", [organDefinition]))
        #expect(read.contrasts == set.contrasts)
        let a = try #require(set.supports[1]["Organ"]), b = try #require(read.supports[1]["Organ"])
        #expect(zip(a.points, b.points).allSatisfy { length($0 - $1) < 1e-4 })
        #expect(zip(a.shape.values, b.shape.values).allSatisfy { abs($0 - $1) <= 0.051 })
        for (x, y) in zip(a.descriptors, b.descriptors) {
            for (u, v) in zip(x.levels, y.levels) { #expect(zip(u, v).allSatisfy { abs($0 - $1) < 0.02 }) }
        }
    }

    @Test func otherWeightsThanItsOwnAreRefused() throws {
        let error = #expect(throws: MedLSAMError.self) { try Contourer(models: fakes(medlamDigest: "other"), templates: phantomTemplates()) }
        #expect(error?.code == .templateSetForOtherWeights && error!.message.contains("phantom"))
    }

    @Test func aThresholdMakesTheNextVersionAndOnlyOfItsOwnStructures() throws {
        let next = try phantomTemplates().withholding(below: ["Organ": 0.7])
        #expect((next.version, next.leastConfidence) == (4, ["Organ": 0.7]))
        #expect(try TemplateSet(decoding: next.encoded()).leastConfidence == ["Organ": 0.7])
        func refusal(_ confidences: [String: Double]) -> String? { #expect(throws: MedLSAMError.self) { try next.withholding(below: confidences) }?.message }
        #expect(refusal(["Organ": 1.5]) == "Template set phantom cannot withhold Organ below 1.5: a confidence lies between 0 and 1.")
        #expect(refusal(["Heart": 0.5]) == "Template set phantom cannot withhold Heart below 0.5: it is none of its structures.")
    }

    @Test(arguments: ["", "{}", "[1,2]", #"{"name":"x"}"#])
    func whatIsNoTemplateSetIsRefused(text: String) {
        let error = #expect(throws: MedLSAMError.self) { try TemplateSet(decoding: Data(text.utf8)) }
        #expect(error?.code == .templateSetUnreadable)
    }

    @Test func supportsOfOtherStructuresThanTheSetNamesAreRefused() throws {
        let set = try phantomTemplates()
        func refusal(_ structures: [StructureDefinition], _ supports: [[String: SupportStructure]]) throws -> String? {
            let other = TemplateSet(name: set.name, version: 1, provenance: "", medlamDigest: "fake", structures: structures, typicalSimilarity: [:],
                                    contrasts: [:], supports: supports)
            return try #require(throws: MedLSAMError.self) { try TemplateSet(decoding: other.encoded()) }.message
        }
        let strange = set.supports.map { $0.merging(["Stranger": $0["Organ"]!]) { $1 } }
        #expect(try refusal(set.structures, strange) == "Template set phantom has supports of Stranger, which is none of its structures.")
        #expect(try refusal(set.structures, [[:]]) == "Template set phantom has no support of its structure Organ.")
        #expect(try refusal(set.structures + set.structures, set.supports) == "Template set phantom names a structure twice.")
    }

    @Test func aTemplateSetWithAnArrayCutShortIsRefused() throws {
        let text = String(decoding: try phantomTemplates().encoded(), as: UTF8.self)
        for key in ["points", "shape"] {
            let start = try #require(text.range(of: "\"\(key)\" : \"")), end = try #require(text[start.upperBound...].firstIndex(of: "\""))
            let broken = text.replacingCharacters(in: text.index(start.upperBound, offsetBy: 8)..<end, with: "")
            #expect(throws: MedLSAMError.self) { try TemplateSet(decoding: Data(broken.utf8)) }
        }
    }

    @Test func casesWithoutAStructureOrOnAnotherGridAreRefused() throws {
        let phantom = BallPhantom(), grid = phantom.grid(), builder = try TemplateBuilder(models: fakeModels)
        func build(_ masks: [String: Mask]) throws {
            _ = try builder.build(name: "x", version: 1, provenance: "", structures: [organDefinition], cases: [(phantom.volume(on: grid), masks)])
        }
        #expect(throws: MedLSAMError.self) { try build([:]) }
        #expect(throws: MedLSAMError.self) { try build(["Organ": Mask(empty: grid)]) }
        #expect(throws: MedLSAMError.self) { try build(["Organ": phantom.organ(on: phantom.grid(spacingMM: [2, 2, 2]))]) }
    }

    @Test func theHeadAndNeckStructuresHaveNamesCodesAndColoursOfTheirOwn() {
        let all = StructureDefinition.headNeck
        #expect(Set(all.map(\.name)).count == 7 && Set(all.map(\.color)).count == 7)
        #expect(all.allSatisfy { $0.name.count <= 16 && $0.type.scheme == "SCT" })
        #expect(Set(all.map { "\($0.type.value) \($0.laterality?.value ?? "")" }).count == 7)
    }
}

@Suite struct GeometryTests {
    @Test func distancesAreThoseOfABall() {
        let grid = VolumeGeometry(size: [50, 50, 40], spacingMM: [2, 2, 2.5], originLPS: [-50, -50, -50])
        let inside: [UInt8] = grid.positions.map { length($0) <= 20 ? 1 : 0 }
        let ball = Mask(geometry: grid, voxels: inside)
        let field = DistanceField(ball, around: Bounds(ExtremePoints(ball)!.points)!)
        let positions: [SIMD3<Double>] = [[0, 12, 0], [0, 0, 17], [25, 0, 0], [-18, -18, 0], [0, 0, -20], [14, 0, 14]]
        for position in positions {
            let truth = min(20 - length(position), DistanceField.limitMM)
            let error: Double = abs(field.distance(at: position) - truth)
            #expect(error < 1.5)
        }
        #expect(field.distance(at: [0, 0, 200]) < -100)
    }

    @Test func extremePointsLieOnTheFacesInPatientSpace() throws {
        for axes in BallPhantom.orientations.prefix(5) {
            let phantom = BallPhantom(), grid = phantom.grid(column: axes.column, row: axes.row, spacingMM: [1.5, 1.5, 2], size: [70, 70, 56])
            let points = try #require(ExtremePoints(phantom.organ(on: grid))).points
            #expect(points.count == 49)
            let centre = phantom.ballLPS + phantom.organOffsetMM
            for axis in 0..<3 {
                #expect(abs(points[2 * axis][axis] - centre[axis] + phantom.organRadiiMM[axis]) < 2)
                #expect(abs(points[2 * axis + 1][axis] - centre[axis] - phantom.organRadiiMM[axis]) < 2)
            }
            #expect(length(points[6] - centre) < 1)
            #expect(points[13].z < points[20].z && points[41].z < points[48].z)
        }
    }

    @Test func aWarpFollowsManyAndIgnoresOne() {
        let points = (0..<40).map { n in SIMD3<Double>(SIMD3<Int>(n % 4 * 10, n % 5 * 8, n * 5)) }
        func moved(_ p: SIMD3<Double>) -> SIMD3<Double> {
            let tilt = p.z / 50
            return SIMD3<Double>(p.x + 3, p.y - 4 + tilt, p.z + 7)
        }
        var targets = points.map(moved)
        targets[17] += [60, -80, 40]
        let warp = Warp(from: points, to: targets, weights: points.map { _ in 1 },
                        stiffness: .init(knots: 3, bending: 0.01, moving: 0, scaling: 100, outlierMM: 5))
        for point in points { #expect(length(warp(point) - moved(point)) < 0.7) }
    }

    @Test func intensitiesFollowThePapersKnots() {
        let knots: [(Int16, Float)] = [(-2000, 0), (-1000, 0), (-600, 0.1), (-200, 0.2), (0, 0.5), (200, 0.8), (1500, 1), (3000, 1)]
        for (hu, intensity) in knots { #expect(abs(WorkingVolume.intensity(hu) - intensity) < 1e-6) }
    }

    @Test func aPatchRunsToSuperiorAnteriorAndLeft() {
        let phantom = BallPhantom(ballLPS: [6, -9, 30]), volume = WorkingVolume(phantom.volume(on: phantom.grid()))
        let patch = volume.patch(around: .zero)
        let at = patch.voxel(at: phantom.ballLPS)
        #expect(length(at - [34, 35, 42]) < 1)
        let inside = SIMD3<Int>(at, rounding: .toNearestOrEven)
        #expect(patch.values[(inside.z * 64 + inside.y) * 64 + inside.x] > 0.99)
        #expect(length(patch.positionLPS(ofVoxel: at) - phantom.ballLPS) < 1e-9)
    }
}

@Suite struct ConcurrentMapTests {
    private struct Boom: Error {}

    @Test func resultsComeInOrderFromAnyNumberOfThreads() throws {
        for threads in [1, 2, 5] { #expect(try concurrentMap(Array(0..<40), threads: threads) { $0 * $0 } == (0..<40).map { $0 * $0 }) }
        #expect(try concurrentMap([Int](), threads: 3) { $0 } == [])
    }

    @Test func anErrorEndsTheWork() {
        #expect(throws: Boom.self) { try concurrentMap(Array(0..<40), threads: 3) { if $0 == 7 { throw Boom() }; return $0 } }
    }
}
