import DICOMCore
import Foundation
import NodeStore
import NodeTesting
import Testing

@testable import Node

/// Workers here are shell scripts: what a worker does is tried elsewhere, what the node makes of it is tried here.
@Suite struct WorkerServiceTests {
    private func service(_ bench: Bench, _ script: String) throws -> WorkerService {
        try WorkerService(
            store: bench.store, folder: bench.folder, watch: bench.watch, configuration: bench.configuration, executable: URL(fileURLWithPath: "/bin/sh"),
            arguments: ["-c", script], alarms: [Alarm()], ended: {}, logger: bench.logger)
    }

    /// Runs one attempt of the oldest job and tells how the job stands.
    private func attempt(_ bench: Bench, _ script: String) throws -> JobSummary {
        let ticket = try #require(try bench.store.claimJob(alive: [], at: Date()))
        try service(bench, script).run(ticket, in: WorkerProcess())
        return try bench.store.job(ticket.id).summary
    }

    private func say(_ message: WorkerMessage) -> String { "read request; echo '\(NodeJSON.encode(message))'" }

    @Test func aWorkerThatIsKilledCostsOneAttemptAndTheThirdFails() throws {
        let bench = try Bench()
        try bench.queueJob()
        for number in 1...3 {
            let job = try attempt(bench, "read request; kill -9 $$")
            #expect(job.attempts == number && job.state == (number < 3 ? .queued : .failed))
            #expect(job.reason!.contains("signal 9"))
        }
        #expect(try bench.store.claimJob(alive: [], at: Date()) == nil)
    }

    @Test(arguments: ["exit 0", "exit 7", "echo nonsense", "echo '{\"finished\":{}}'"])
    func aWorkerWithoutAResultCostsOneAttempt(script: String) throws {
        let bench = try Bench()
        try bench.queueJob()
        #expect(try attempt(bench, script).state == .queued)
    }

    @Test func aWorkerThatCannotBeStartedCostsOneAttempt() throws {
        let bench = try Bench()
        try bench.queueJob()
        var service = try service(bench, "")
        service = WorkerService(
            store: bench.store, folder: bench.folder, watch: try bench.watch, configuration: bench.configuration, executable: URL(fileURLWithPath: "/nowhere"),
            alarms: [Alarm()], ended: {}, logger: bench.logger)
        try service.run(try #require(try bench.store.claimJob(alive: [], at: Date())), in: WorkerProcess())
        #expect(try bench.store.jobs().map(\.state) == [.queued])
    }

    @Test func aWorkerThatTakesTooLongIsKilled() throws {
        var bench = try Bench()
        bench.configuration.contouring.timeoutMinutes = 0.005
        try bench.queueJob()
        #expect(try attempt(bench, "exec sleep 60").reason!.contains("longer than"))
    }

    @Test func whatAnotherAttemptCannotChangeIsNotTriedAgain() throws {
        let bench = try Bench()
        try bench.queueJob()
        let refused = try attempt(bench, say(.refused(reason: "Series 1.2 is a localizer.")))
        #expect(refused.state == .refused && refused.reason == "Series 1.2 is a localizer.")
        try bench.store.retry(job: refused.id, at: Date())
        #expect(try attempt(bench, say(.failed(reason: "Model is missing."))).state == .failed)
    }

    @Test func aStopOfTheNodeDoesNotCountAsAnAttempt() async throws {
        let bench = try Bench()
        let id = try bench.queueJob()
        let ticket = try #require(try bench.store.claimJob(alive: [], at: Date()))
        let process = WorkerProcess()
        let service = try service(bench, "exec sleep 60")
        async let run: Void = onOwnThread("job") { try service.run(ticket, in: process) }
        process.stop()
        try await run
        let job = try bench.store.job(id).summary
        #expect(job.state == .queued && job.attempts == 0)
    }

    @Test func aGoodResultIsKeptAndQueuedForEveryDestination() throws {
        let bench = try Bench("destinations: [{name: a, aeTitle: A, host: h, port: 1, objects: [SEG]}, {name: b, aeTitle: B, host: h, port: 1, objects: [SEG]}]")
        try bench.queueJob()
        let job = try attempt(bench, try bench.scriptThatMakesASegmentation())
        #expect(job.state == .succeeded && job.pending == 2, "\(job)")
        let result = try #require(try bench.store.job(job.id).results.first)
        #expect(try DataSet(contentsOf: bench.folder.root.appending(path: result.path).path).string(.sopInstanceUID) == "1.5")
        #expect(try FileManager.default.contentsOfDirectory(atPath: bench.folder.results.path) == ["\(job.id)"])
    }

    @Test func eachDestinationGetsOnlyWhatItIsToGet() throws {
        let bench = try Bench("destinations: [{name: a, aeTitle: A, host: h, port: 1, objects: [SEG]}, {name: b, aeTitle: B, host: h, port: 1}]")
        #expect(bench.configuration.specifications == [.segmentation(.init()), .structureSet(.init())])
        let deliveries = bench.configuration.deliveries(of: bench.configuration.specifications)
        #expect(deliveries.map { "\($0.destination) \($0.result)" } == ["a 0", "b 0", "b 1"])
    }

    @Test func aWorkerThatLeavesOutWhatWasAskedForHasNotSucceeded() throws {
        let bench = try Bench("destinations: [{name: a, aeTitle: A, host: h, port: 1, objects: [SEG, SR]}]")
        try bench.queueJob(attempts: 1)
        let job = try attempt(bench, try bench.scriptThatMakesASegmentation())
        #expect(job.state == .failed && job.reason!.contains("made no SR"), "\(job)")
        #expect(try bench.store.pendingDeliveries().isEmpty)
    }

    private struct Spoil: Sendable, CustomTestStringConvertible {
        let rule: String
        var reported = "1.5"
        var change: @Sendable (DataSet) throws -> Void = { _ in }
        var testDescription: String { rule }
    }

    @Test(arguments: [
        Spoil(rule: "its Study Instance UID is not the source's") { try $0.set(.studyInstanceUID, "1.9") },
        Spoil(rule: "PatientID (0010,0020) is not the source's") { try $0.set(.patientID, "P2") },
        Spoil(rule: "its SOP Instance UID is not the one that the worker reported", reported: "1.6"),
    ])
    private func anObjectThatMustNotBeSentFailsTheJobAndIsKept(spoil: Spoil) throws {
        let bench = try Bench("destinations: [{name: a, aeTitle: A, host: h, port: 1, objects: [SEG]}]")
        try bench.queueJob()
        let job = try attempt(bench, try bench.scriptThatMakesASegmentation(reported: spoil.reported, change: spoil.change))
        #expect(job.state == .failed && job.attempts == 1, "another attempt could not go otherwise: \(job)")
        #expect(job.reason == "SEG \(spoil.reported) is not to be sent: \(spoil.rule). No object of the job was sent; they are kept in rejected/\(job.id).")
        #expect(try bench.store.pendingDeliveries().isEmpty && bench.store.job(job.id).results.isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: bench.folder.results.path).isEmpty)
        #expect(try DataSet(contentsOf: bench.folder.rejected.appending(path: "\(job.id)/SEG.dcm").path).string(.sopInstanceUID) == "1.5")
    }

    @Test func filesThatAreNoLongerThoseRecordedCostAnAttempt() throws {
        let bench = try Bench("destinations: [{name: a, aeTitle: A, host: h, port: 1, objects: [SEG]}]")
        try bench.queueJob()
        let script = try bench.scriptThatMakesASegmentation()
        try Bench.dataSet(sop: "1.1", patient: "P2").write(to: bench.folder.instances.appending(path: "1.2/1.1.dcm").path)
        let job = try attempt(bench, script)
        #expect(job.state == .queued && job.reason!.contains("another patient"), "\(job)")
    }

    @Test func aWorkerInheritsNoPipeOfAnother() throws {
        let bench = try Bench()
        try bench.queueJob()
        let (strangers, script) = ((0..<8).map { _ in Pipe() }, "n=$(ls -l /proc/$$/fd | grep -c pipe:)")
        let job = try attempt(bench, "read request; \(script); echo '{\"failed\":{\"reason\":\"'$n'\"}}'")
        withExtendedLifetime(strangers) {}
        #expect(Int(job.reason ?? "")! < 8, "its streams and what the shell reads its command by: \(job.reason ?? "")")
    }

    @Test func theServiceRunsWhatIsQueuedOneAfterTheOther() async throws {
        let bench = try Bench()
        try bench.queueJob()
        let service = try service(bench, say(.refused(reason: "No.")))
        let run = Task { try await service.run() }
        while try bench.store.jobs(states: [.refused]).isEmpty { try await Task.sleep(for: .milliseconds(20)) }
        run.cancel()
        _ = await run.result
    }
}
