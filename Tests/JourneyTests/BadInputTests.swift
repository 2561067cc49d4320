import DICOMCore
import Foundation
import NodeTesting
import Testing

/// What bad input gets: it is kept and acknowledged, and `jobs list` says why it is not contoured.
@Suite(.serialized) struct BadInputTests {
    private let folder: URL

    init() throws { folder = try Places.temporaryFolder("bad-input") }

    @Test func whatIsNotCTIsKeptAndListedWithTheReason() async throws {
        let node = try NodeUnderTest(in: folder, models: false)
        let process = try await node.serve()
        defer { process.kill() }
        let scan = SmallScan(slices: 1, sopClassUID: SOPClass.mrImageStorage, modality: "MR")
        #expect(try node.send([scan.write(to: folder.appending(path: "mr"))]).status == 0)
        let job = try await node.job("refusal") { $0.state == "refused" }
        #expect(job.reason?.contains("not CT") == true, "\(job)")
        #expect(job.instances == 1)
    }

    @Test func aLocalizerIsRefusedWithTheReason() async throws {
        let node = try NodeUnderTest(in: folder, models: true)
        let process = try await node.serve()
        defer { process.kill() }
        let scan = SmallScan(imageType: ["ORIGINAL", "PRIMARY", "LOCALIZER"])
        #expect(try node.send([scan.write(to: folder.appending(path: "localizer"))]).status == 0)
        let job = try await node.job(within: 60, "refusal") { $0.state == "refused" }
        #expect(job.reason?.lowercased().contains("localizer") == true, "\(job)")
    }

    @Test func aBrokenFileFailsTheJobWithItsUIDAndTheReason() async throws {
        let node = try NodeUnderTest(in: folder, models: true)
        let process = try await node.serve()
        defer { process.kill() }
        let scan = SmallScan(brokenSlice: 2)
        #expect(try node.send([scan.write(to: folder.appending(path: "broken"))]).status == 0)
        let job = try await node.job(within: 60, "failure") { $0.state == "failed" }
        #expect(job.reason?.contains(scan.sopInstanceUID(2).string) == true, "\(job)")
        #expect(job.attempts == 1, "another attempt could not go otherwise")
    }

    @Test func withoutModelsTheNodeReceivesAndSaysEverywhereWhyNothingIsContoured() async throws {
        let node = try NodeUnderTest(in: folder, models: false)
        let process = try await node.serve()
        defer { process.kill() }
        #expect(try node.send([SmallScan().write(to: folder.appending(path: "ct"))]).status == 0)
        let job = try await node.job(within: 60, "failure") { $0.state == "failed" }
        #expect(job.instances == 6)
        #expect(job.reason?.contains("no weights") == true, "\(job)")
        #expect(process.output.contains("Nothing will be contoured"))
        let doctor = try node.command("doctor")
        #expect(doctor.status == 1)
        #expect(doctor.output.contains("no weights") && doctor.output.contains("make setup"), "\(doctor.output)")
    }

    @Test func underTheWatermarkCStoreIsAnsweredOutOfResourcesAndNothingIsLost() async throws {
        let node = try NodeUnderTest(in: folder, models: false, minimumFreeMegabytes: 1_000_000_000)
        let process = try await node.serve()
        defer { process.kill() }
        let sent = try runTool(
            "storescu", ["-v", "-aec", "MEDLSAM", "127.0.0.1", "\(node.port)", "+sd", SmallScan().write(to: folder.appending(path: "ct"))])
        #expect(sent.output.contains("0xa700") || sent.output.contains("Out of Resources") || sent.output.contains("OutOfResources"), "\(sent.output)")
        #expect(process.output.contains("under the watermark"))
        #expect(try node.jobs().isEmpty)
    }

    @Test func whenTheSenderVanishesOnlyWholeInstancesCount() async throws {
        let node = try NodeUnderTest(in: folder, models: false)
        let process = try await node.serve()
        defer { process.kill() }
        let scan = try SmallScan(slices: 400).write(to: folder.appending(path: "ct"))
        let sender = try BackgroundProcess(
            "storescu", ["-aec", "MEDLSAM", "127.0.0.1", "\(node.port)", "+sd", scan], log: folder.appending(path: "sender.log"))
        let instances = folder.appending(path: "data/instances")
        func files() -> [String] {
            ((try? FileManager.default.subpathsOfDirectory(atPath: instances.path)) ?? []).filter { $0.hasSuffix(".dcm") }
        }
        _ = try await eventually("the first instances") { files().count > 5 ? true : nil }
        sender.kill()
        // Half of the series never comes: the longer wait for it ends in a job that knows exactly the files that are there.
        let job = try await node.job(within: 60, "job") { $0.state == "failed" }
        #expect(job.instances == files().count)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: "data/incoming").path).isEmpty)
        let first = try #require(files().first)
        #expect(try runTool("dcmdump", [instances.path + "/" + first]).status == 0)
    }
}
