import DICOMCore
import Foundation
import NodeTesting
import Testing

/// What bad input gets: it is kept and acknowledged, and `jobs list` says why it is not contoured.
@Suite(.serialized) struct BadInputTests {
    private let folder: URL
    private let phantom = Phantom(columns: 32, rows: 32, slices: 6)

    init() throws { folder = try Places.temporaryFolder("bad-input") }

    /// Writes a series, spoilt by `change`; returns its files.
    private func series(_ phantom: Phantom? = nil, change: (DataSet, Int) throws -> Void = { _, _ in }) throws -> [String] {
        try (phantom ?? self.phantom).write(into: folder.appending(path: "ct"), change: change)
    }

    @Test func whatIsNotCTIsKeptAndListedWithTheReason() async throws {
        let node = try NodeUnderTest(in: folder, models: false)
        let process = try await node.serve()
        defer { process.kill() }
        let files = try series { slice, _ in
            try slice.set(.sopClassUID, SOPClass.mrImageStorage)
            try slice.set(.modality, "MR")
        }
        #expect(try node.send(files).status == 0)
        let job = try await node.job("refusal") { $0.state == "refused" }
        #expect(job.reason?.contains("not CT") == true, "\(job)")
        #expect(job.instances == 6)
    }

    @Test func aLocalizerIsRefusedWithTheReason() async throws {
        let node = try NodeUnderTest(in: folder, models: true)
        let process = try await node.serve()
        defer { process.kill() }
        let files = try series { slice, _ in try slice.set(.imageType, ["ORIGINAL", "PRIMARY", "LOCALIZER"]) }
        #expect(try node.send(files).status == 0)
        let job = try await node.job(within: 60, "refusal") { $0.state == "refused" }
        #expect(job.reason?.lowercased().contains("localizer") == true, "\(job)")
    }

    @Test func aBrokenFileFailsTheJobWithItsUIDAndTheReason() async throws {
        let node = try NodeUnderTest(in: folder, models: true)
        let process = try await node.serve()
        defer { process.kill() }
        let files = try series { slice, k in if k == 2 { try slice.set(.pixelData, bytes: [UInt8](repeating: 0, count: 100)) } }
        #expect(try node.send(files).status == 0)
        let job = try await node.job(within: 60, "failure") { $0.state == "failed" }
        #expect(job.reason?.contains(phantom.sopInstanceUID(2).string) == true, "\(job)")
        #expect(job.attempts == 1, "another attempt could not go otherwise")
    }

    @Test func withoutModelsTheNodeReceivesAndSaysEverywhereWhyNothingIsContoured() async throws {
        let node = try NodeUnderTest(in: folder, models: false)
        let process = try await node.serve()
        defer { process.kill() }
        #expect(try node.send(series()).status == 0)
        let job = try await node.job(within: 60, "failure") { $0.state == "failed" }
        #expect(job.instances == 6)
        #expect(job.reason?.contains("no weights") == true, "\(job)")
        #expect(process.output.contains("Nothing will be contoured"))
        let doctor = try node.command("doctor")
        #expect(doctor.status == 1)
        #expect(doctor.output.contains("no weights") && doctor.output.contains("model import"), "\(doctor.output)")
    }

    @Test func underTheWatermarkCStoreIsAnsweredOutOfResourcesAndNothingIsLost() async throws {
        let node = try NodeUnderTest(in: folder, models: false, minimumFreeMegabytes: 1_000_000_000)
        let process = try await node.serve()
        defer { process.kill() }
        let sent = try runTool("storescu", ["-v", "-aec", "MEDLSAM", "127.0.0.1", "\(node.port)"] + series())
        #expect(sent.output.contains("0xa700") || sent.output.contains("Out of Resources") || sent.output.contains("OutOfResources"), "\(sent.output)")
        #expect(process.output.contains("under the watermark"))
        #expect(try node.jobs().isEmpty)
    }

    @Test func whenTheSenderVanishesOnlyWholeInstancesCount() async throws {
        let node = try NodeUnderTest(in: folder, models: false)
        let process = try await node.serve()
        defer { process.kill() }
        let files = try series(Phantom(columns: 32, rows: 32, slices: 400))
        let sender = try BackgroundProcess(
            "storescu", ["-aec", "MEDLSAM", "127.0.0.1", "\(node.port)"] + files, log: folder.appending(path: "sender.log"))
        let instances = folder.appending(path: "data/instances")
        func kept() -> [String] {
            ((try? FileManager.default.subpathsOfDirectory(atPath: instances.path)) ?? []).filter { $0.hasSuffix(".dcm") }
        }
        _ = try await eventually("the first instances") { kept().count > 5 ? true : nil }
        sender.kill()
        // Half of the series never comes: the longer wait for it ends in a job that knows exactly the files that are there.
        let job = try await node.job(within: 60, "job") { $0.state == "failed" }
        #expect(job.instances == kept().count)
        #expect(try halfFiles(in: folder.appending(path: "data/incoming")).isEmpty)
        let first = try #require(kept().first)
        #expect(try runTool("dcmdump", [instances.path + "/" + first]).status == 0)
    }
}
