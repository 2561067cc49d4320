import ImagingGeometry
import ModelRuntime
import Testing

@testable import MedLSAM

/// Takes for `Organ_L` what is bright left of a window's middle, for `Organ_R` what is bright right of it, for `Organ` all that is bright.
private struct FakeSegmenterNetwork: Model {
    static let structures = ["Organ_L", "Organ", "Organ_R"]
    var channels = structures.count, sureness: Float = 40

    func callAsFunction(_ inputs: [String: Tensor]) throws -> [String: Tensor] {
        let scan = inputs["scan"]!
        let logits = (0..<channels).flatMap { channel in
            scan.values.enumerated().map { at, value -> Float in
                let isLeft = at % 64 >= 32
                return channel == 1 || isLeft == (channel == 0) ? (value - 0.75) * sureness : -12
            }
        }
        return ["logits": Tensor(shape: [1, channels] + scan.shape[2...], values: logits)]
    }
}

@Suite struct TrainedSegmenterTests {
    private let segmenter = TrainedSegmenter(network: FakeSegmenterNetwork(), structures: FakeSegmenterNetwork.structures)

    /// As bright as its ball, and apart from it.
    private func phantom(at ballLPS: SIMD3<Double> = .zero) -> BallPhantom {
        BallPhantom(ballLPS: ballLPS, organOffsetMM: [30, -20, 24], organHU: 1500)
    }

    @Test(arguments: 0..<BallPhantom.orientations.count)
    func whatTheNetworkDrawsLandsWhereItSawIt(number: Int) throws {
        let phantom = phantom(at: [7, -22, 130]), axes = BallPhantom.orientations[number]
        let grid = phantom.grid(column: axes.column, row: axes.row, spacingMM: [2, 2, 3], size: [72, 72, 48])
        let drawn = try #require(try segment(phantom, grid, ["Organ"])["Organ"])
        #expect(drawn.mask.geometry == grid)
        #expect(drawn.mask.dice(phantom.organ(on: grid))! > 0.93)
        #expect(drawn.agreement! > 0.9 && drawn.stability! > 0.95)
    }

    @Test func anUnsureNetworkExpectsLessOfItself() throws {
        let phantom = phantom(), unsure = TrainedSegmenter(network: FakeSegmenterNetwork(sureness: 4), structures: FakeSegmenterNetwork.structures)
        let sure = try #require(try segment(phantom, phantom.grid(), ["Organ"])["Organ"]?.expectedDice)
        let doubtful = try #require(try segment(phantom, phantom.grid(), ["Organ"], by: unsure)["Organ"]?.expectedDice)
        #expect(doubtful < sure - 0.1 && sure < 1 && doubtful > 0)
    }

    @Test func leftIsLeftInTheMirrorToo() throws {
        // One window sees all: what is bright left of its middle is the left one's, and the mirrored view must agree.
        let phantom = phantom(), grid = phantom.grid()
        let drawn = try segment(phantom, grid, ["Organ_L", "Organ_R"])
        let left = try #require(drawn["Organ_L"]), right = try #require(drawn["Organ_R"])
        #expect(left.stability! > 0.9 && right.stability! > 0.9)
        #expect(left.mask.centroidLPS!.x > right.mask.centroidLPS!.x)
    }

    @Test func structuresThatTheNetworkWasNotTrainedOnAreLeftOut() throws {
        let phantom = phantom()
        #expect(try segment(phantom, phantom.grid(), ["Organ", "Liver"]).keys.sorted() == ["Organ"])
        #expect(try segment(phantom, phantom.grid(), ["Liver"]).isEmpty)
    }

    @Test func windowsCoverABoxWithHalfAWindowInCommon() {
        let box = VoxelBox(lower: [-3, 10, 5], upper: [196, 40, 52])
        let corners = TrainedSegmenter.corners(covering: box), xs = Set(corners.map(\.x)).sorted()
        #expect(xs.first == -3 && xs.last! + 64 == 197 && zip(xs, xs.dropFirst()).allSatisfy { $1 - $0 <= 32 })
        #expect(Set(corners.map(\.y)).count == 1 && corners[0].y <= 10 && corners[0].y + 64 > 40)
        #expect(Set(corners.map(\.z)) == [5])
    }

    @Test func itIsTheSameOnAnyNumberOfThreads() throws {
        let phantom = phantom(), grid = phantom.grid(spacingMM: [3, 3, 3], size: [60, 60, 90])
        var several = segmenter
        several.threads = 3
        let one = try segment(phantom, grid, ["Organ"]), two = try segment(phantom, grid, ["Organ"], by: several)
        #expect(one["Organ"]!.mask.voxels == two["Organ"]!.mask.voxels)
    }

    @Test func aNetworkOfOtherChannelsIsAnError() {
        let other = TrainedSegmenter(network: FakeSegmenterNetwork(channels: 2), structures: FakeSegmenterNetwork.structures)
        let phantom = phantom()
        #expect(throws: MedLSAMError.self) { try segment(phantom, phantom.grid(), ["Organ"], by: other) }
    }

    private func segment(_ phantom: BallPhantom, _ grid: VolumeGeometry, _ names: [String], by other: TrainedSegmenter? = nil) throws -> [String: SegmentedStructure] {
        let organ = phantom.organ(on: phantom.grid(spacingMM: [2, 2, 2], size: [60, 60, 60]))
        let placed = Dictionary(uniqueKeysWithValues: names.map { ($0, PlacedStructure(organ)!) })
        let volume = phantom.volume(on: grid)
        return try (other ?? segmenter).segment(volume, WorkingVolume(volume), placed) { _ in }
    }
}
