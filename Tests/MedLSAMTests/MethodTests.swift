import ImagingGeometry
import Synchronization
import Testing

@testable import MedLSAM

@Suite struct MethodTests {
    private let phantom = BallPhantom(ballLPS: [12, 33, -210])

    private func outcome(_ method: ContouringMethod, given: Bool = false) throws -> StructureOutcome {
        let grid = phantom.grid(spacingMM: [2.5, 2.5, 3], size: [56, 56, 44])
        return try Contourer(models: fakeModels, templates: phantomTemplates(), method: method)
            .contour(phantom.volume(on: grid), seed: 7, given: given ? ["Organ": phantom.organ(on: grid)] : nil)[0]
    }

    @Test func aKnownMaskComesBackByItsOwnShapeAndFillsItsBox() throws {
        let shape = try outcome(ContouringMethod(localiser: .given, segmenter: .shape), given: true)
        let mask = try #require(shape.mask), truth = phantom.organ(on: mask.geometry)
        #expect(mask.dice(truth)! > 0.95)
        let box = try outcome(ContouringMethod(localiser: .given, segmenter: .box), given: true)
        let filled = try #require(box.mask ?? box.withheldMask), around = try #require(truth.boundingBox)
        #expect(filled.boundingBox == around && filled.voxels.count { $0 != 0 } == around.size.x * around.size.y * around.size.z)
        #expect(box.boxLPS == shape.boxLPS)
    }

    @Test func nothingIsFoundWhereNothingIsGiven() throws {
        #expect(try outcome(ContouringMethod(localiser: .given)).state == .notInFieldOfView)
    }

    @Test func aMaskThatIsNotGivenOutIsThereToBeJudged() throws {
        let grid = phantom.grid()
        var dim = phantom
        dim.organHU = -100
        let contourer = try Contourer(models: fakeModels, templates: phantomTemplates())
        let outcome = try contourer.contour(dim.volume(on: grid), seed: 7, judgingWithheld: true)[0]
        guard case .withheld = outcome.state else { Issue.record("\(outcome.state)"); return }
        #expect(outcome.mask == nil && outcome.probabilities == nil)
        #expect(try #require(outcome.withheldMask).geometry == grid)
    }

    @Test func onlyTheNetworksOfTheMethodAreLoadedAndEachOnce() throws {
        let asked = Mutex<[String]>([])
        let models = ContouringModels(digest: { try fakeModels.digest(of: $0) }, structures: { _ in [] }) { network, graph in
            asked.withLock { $0.append("\(network.rawValue) \(graph)") }
            return try fakeModels.graph(graph, of: network)
        }
        let templates = try phantomTemplates()
        _ = try Contourer(models: models, templates: templates, method: ContouringMethod(localiser: .given, segmenter: .box))
        #expect(asked.withLock { $0 }.isEmpty)
        let prompted = ContouringMethod(segmenter: .liteMedSAM)
        for _ in 0..<2 { _ = try Contourer(models: models, templates: templates, method: prompted) }
        #expect(asked.withLock { $0.sorted() } == ["lite-medsam decoder", "lite-medsam encoder", "medlam-hn features", "medlam-hn position"])
        #expect(try models.networks(of: prompted, templates) == [.medlamHN, .liteMedSAM])
        // The trained one knows nothing of this template set's structure.
        #expect(try models.networks(of: ContouringMethod(), templates) == [.medlamHN, .segmenterHN, .liteMedSAM])
    }

    @Test func aTemplateSetIsReadWithThePublishedWeightsWhenItWasMadeWithThem() throws {
        let models = ContouringModels(digest: { $0 == .medlam ? "fake" : "other" }, structures: { _ in [] }) { try fakeModels.graph($1, of: $0) }
        #expect(try models.medlam(of: phantomTemplates()) == .medlam)
        let none = ContouringModels(digest: { throw MedLSAMError(.modelAnswerUnusable, $0.rawValue) }, structures: { _ in [] }) { try fakeModels.graph($1, of: $0) }
        #expect(#expect(throws: MedLSAMError.self) { try none.medlam(of: phantomTemplates()) }?.message == "medlam-hn")
    }
}
