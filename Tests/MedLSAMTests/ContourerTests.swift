import Foundation
import ImagingGeometry
import Synchronization
import Testing

@testable import MedLSAM

@Suite struct ContourerTests {
    private func found(_ phantom: BallPhantom, _ grid: VolumeGeometry, threads: Int = 1, seed: UInt64 = 7) throws -> StructureOutcome {
        let contourer = try Contourer(models: fakeModels, templates: phantomTemplates(), threads: threads)
        let outcomes = try contourer.contour(phantom.volume(on: grid), seed: seed)
        #expect(outcomes.count == 1)
        return outcomes[0]
    }

    @Test(arguments: 0..<BallPhantom.orientations.count)
    func anOrganIsFoundAndFilledWhateverTheScansOrientation(number: Int) throws {
        let phantom = BallPhantom(ballLPS: [12, 33, -210]), axes = BallPhantom.orientations[number]
        let grid = phantom.grid(column: axes.column, row: axes.row, spacingMM: [2.5, 2.5, 3.5], size: [56, 56, 40])
        let outcome = try found(phantom, grid)
        let truth = Bounds(low: phantom.ballLPS + phantom.organOffsetMM - phantom.organRadiiMM,
                           high: phantom.ballLPS + phantom.organOffsetMM + phantom.organRadiiMM)
        let box = try #require(outcome.boxLPS)
        for axis in 0..<3 {
            #expect(abs(box.low[axis] - truth.low[axis]) < 3.5 && abs(box.high[axis] - truth.high[axis]) < 3.5)
        }
        #expect(outcome.state == .segmented)
        let mask = try #require(outcome.mask)
        #expect(mask.geometry == grid)
        #expect(mask.dice(phantom.organ(on: grid))! > 0.9)
        #expect(outcome.confidence! > 0.6)
    }

    @Test func theMaskIsWhatIsMoreLikelyInsideThanOut() throws {
        let phantom = BallPhantom(), grid = phantom.grid(), outcome = try found(phantom, grid)
        let map = try #require(outcome.probabilities), mask = try #require(outcome.mask)
        #expect(map.geometry == mask.geometry && map.voxels.box.size.x < grid.size.x)
        let likely = (0..<grid.size.z).flatMap { map.voxels.plane($0) }
        #expect(likely.map { $0 >= ProbabilityMap.inside ? 1 : 0 } == mask.voxels)
        // It says more than the mask: sure in the middle, in doubt at the surface.
        #expect(Set(likely).count > 20 && likely.max()! > 220)
    }

    @Test func aMaskOverrulesItsProbabilitiesByNoMoreThanItMust() {
        let grid = VolumeGeometry(size: [6, 1, 1], spacingMM: .one, originLPS: .zero)
        let map = ProbabilityMap(geometry: grid, voxels: [0, 100, 200, 20, 140, 127])
        #expect(map.agreeing(with: Mask(geometry: grid, voxels: [0, 0, 1, 1, 0, 0])).voxels.plane(0) == [0, 100, 200, 128, 127, 127])
    }

    @Test func aHigherScoreIsNeverLessLikelyAndAPositiveOneIsInside() {
        let scores = stride(from: -20.0, through: 20, by: 0.01).map { $0 } + [-1e-12, 0, 1e-12, 1e9, -1e9]
        let likely = scores.sorted().map { ($0, SegmentedStructure.probability(ofScoreMM: $0)) }
        #expect(zip(likely, likely.dropFirst()).allSatisfy { $0.1 <= $1.1 })
        #expect(likely.allSatisfy { ($0.0 > 0) == ($0.1 >= ProbabilityMap.inside) })
        #expect(likely.first!.1 == 0 && likely.last!.1 == 255)
    }

    @Test func theSameVolumeAndSeedGiveTheSameResultOnAnyNumberOfThreads() throws {
        let phantom = BallPhantom(), grid = phantom.grid()
        let one = try found(phantom, grid), two = try found(phantom, grid, threads: 3)
        #expect(one.mask?.voxels == two.mask?.voxels)
        #expect(one.boxLPS == two.boxLPS)
        #expect(one.confidence == two.confidence)
    }

    @Test func anOrganBeyondTheScanIsNotInTheFieldOfView() throws {
        var phantom = BallPhantom()
        phantom.organOffsetMM.z = 14
        let whole = phantom.grid()
        // The scan ends below the organ's middle.
        let cut = VolumeGeometry(size: [40, 40, 21], spacingMM: whole.spacingMM, originLPS: whole.originLPS)
        let outcome = try found(phantom, cut)
        #expect(outcome.state == .notInFieldOfView)
        #expect(outcome.mask == nil && outcome.confidence == nil)
    }

    @Test func anOrganThatTheScanEndsInIsSaidToBeCutOff() throws {
        let phantom = BallPhantom(), whole = phantom.grid()
        #expect(try found(phantom, whole).isCutOff == false)
        // The organ's middle is at 14 mm, its top at 30, the last slice at 22.5 or, padded with air, seems to be farther up.
        let cut = VolumeGeometry(size: [40, 40, 28], spacingMM: whole.spacingMM, originLPS: whole.originLPS)
        #expect(try found(phantom, cut).isCutOff)
        var padded = phantom.volume(on: whole)
        for offset in 28 * 40 * 40..<padded.voxels.count { padded.voxels[offset] = -1000 }
        let outcome = try Contourer(models: fakeModels, templates: phantomTemplates()).contour(padded, seed: 7)[0]
        #expect(outcome.state == .segmented && outcome.isCutOff)
    }

    @Test func airPaddedOntoAScanDoesNotCountAsSeen() throws {
        let phantom = BallPhantom(), grid = phantom.grid()
        var volume = phantom.volume(on: grid)
        let seen = 21 * 40 * 40
        for offset in seen..<volume.voxels.count { volume.voxels[offset] = -1000 }
        let outcome = try Contourer(models: fakeModels, templates: phantomTemplates()).contour(volume, seed: 1)[0]
        #expect(outcome.state == .notInFieldOfView)
    }

    @Test func aScanOfNothingButAirShowsNoStructure() throws {
        let grid = BallPhantom().grid()
        let air = Volume(geometry: grid, voxels: [Int16](repeating: -1000, count: grid.count))
        #expect(try Contourer(models: fakeModels, templates: phantomTemplates()).contour(air, seed: 1)[0].state == .notInFieldOfView)
    }

    @Test func anotherOrgansSizeIsWithheldWithAReason() throws {
        var phantom = BallPhantom()
        phantom.organHU = -100
        let outcome = try found(phantom, phantom.grid())
        guard case .withheld(let reason) = outcome.state else { Issue.record("\(outcome.state)"); return }
        #expect(!reason.isEmpty && outcome.mask == nil)
    }

    @Test func progressNeverGoesBackAndEndsAtOne() throws {
        let phantom = BallPhantom(), seen = Mutex<[ContouringStage: [Double]]>([:])
        _ = try Contourer(models: fakeModels, templates: phantomTemplates()).contour(phantom.volume(on: phantom.grid()), seed: 1) { stage, share in
            seen.withLock { $0[stage, default: []].append(share) }
        }
        let steps = seen.withLock { $0 }
        for stage in [ContouringStage.localising, .segmenting] {
            let shares = try #require(steps[stage])
            #expect(shares == shares.sorted() && shares.last == 1)
        }
    }
}

@Suite struct SegmenterTests {
    @Test(arguments: 0..<BallPhantom.orientations.count)
    func whatTheNetworkSaysOfAnImageLandsWhereTheImageWasTaken(number: Int) throws {
        let phantom = BallPhantom(), axes = BallPhantom.orientations[number]
        let grid = phantom.grid(column: axes.column, row: axes.row, spacingMM: [2, 2, 3], size: [64, 64, 44])
        let result = try segmented(phantom, grid, FakeDecoder())
        // The fake sees the organ in the image itself: agreement with the shape shows that images and shapes share a frame.
        #expect(result.agreement! > 0.9)
        #expect(result.mask.dice(phantom.organ(on: grid))! > 0.93)
        #expect(abs(result.predictedIoU! - 0.9) < 1e-6)
    }

    @Test func aFilledBoxComesBackAsTheVoxelsInTheBox() throws {
        let grid = VolumeGeometry(size: [40, 40, 20], spacingMM: [2, 2, 2.5], originLPS: [-40, -40, 0])
        var block = Mask(empty: grid)
        for k in 5..<15 { for j in 10..<24 { for i in 12..<30 { block.voxels[grid.offset([i, j, k])] = 1 } } }
        let volume = Volume(geometry: grid, voxels: [Int16](repeating: 0, count: grid.count))
        let segmenter = PromptedSegmenter(encoder: FakeEncoder(), decoder: FakeDecoder(isBlind: true), joining: .withShapes([:]))
        let result = try #require(try segmenter.segment(volume, WorkingVolume(volume), ["Block": PlacedStructure(block)!]) { _ in }["Block"])
        #expect(result.mask.dice(block)! > 0.95)
        let found = try #require(result.mask.boundingBox), truth = try #require(block.boundingBox)
        #expect(all((found.lower &- truth.lower) .<= 1) && all((truth.lower &- found.lower) .<= 1))
        #expect(all((found.upper &- truth.upper) .<= 1) && all((truth.upper &- found.upper) .<= 1))
    }

    @Test func thinSlicesAreSkippedAndThickOnesAreNot() {
        func heights(_ spacing: Double) -> [Double] {
            let grid = VolumeGeometry(size: [10, 10, 100], spacingMM: [1, 1, spacing], originLPS: [0, 0, 7])
            return PromptedSegmenter.heights(of: grid, covering: [Bounds(low: [0, 0, 20], high: [9, 9, 40])])
        }
        #expect(heights(5) == [22, 27, 32, 37])
        #expect(zip(heights(1), heights(1).dropFirst()).allSatisfy { $1 - $0 == 3 })
        #expect(zip(heights(2.5), heights(2.5).dropFirst()).allSatisfy { $1 - $0 == 2.5 })
    }

    private func segmented(_ phantom: BallPhantom, _ grid: VolumeGeometry, _ decoder: FakeDecoder) throws -> SegmentedStructure {
        let volume = phantom.volume(on: grid)
        return try #require(try PromptedSegmenter(encoder: FakeEncoder(), decoder: decoder, joining: .withShapes([:])).segment(
            volume, WorkingVolume(volume), ["Organ": PlacedStructure(phantom.organ(on: phantom.grid(spacingMM: [2, 2, 2], size: [60, 60, 60])))!]) { _ in }["Organ"])
    }
}
