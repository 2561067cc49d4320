import DICOMNetwork
import Foundation
import NodeConfiguration
import NodeStore
import NodeTesting
import Synchronization
import Testing

@testable import Node

private let destinations = """
    destinations: [{name: a, aeTitle: A, host: 127.0.0.1, port: 1}, {name: b, aeTitle: B, host: 127.0.0.1, port: 1}]
    delivery: {firstRetrySeconds: 10, longestRetrySeconds: 60, giveUpAfterHours: 1}
    """

@Suite struct DeliveryTests {
    /// A node with two objects in the outbox for each of two destinations.
    private func bench() throws -> Bench {
        let bench = try Bench(destinations)
        let id = try bench.queueJob()
        _ = try bench.store.claimJob(alive: [], at: Date())
        let results = [("SEG", "1.5"), ("RTSTRUCT", "1.6")].map { kind, sop in
            NewResult(kind: kind, sopClassUID: "1.4", sopInstanceUID: sop, path: "results/\(id)/\(kind).dcm")
        }
        try bench.store.finish(job: id, .succeeded(results: results, deliveries: every(results, to: ["a", "b"]), report: "{}"), at: Date())
        return bench
    }

    private func service(_ bench: Bench, _ send: @escaping DeliveryService.Send) -> DeliveryService {
        DeliveryService(
            store: bench.store, folder: bench.folder, configuration: bench.configuration, send: send, alarms: [Alarm(), Alarm()],
            logger: bench.logger)
    }

    @Test func onlyThePeersSuccessCountsAsSent() throws {
        let bench = try bench()
        let service = service(bench) { paths, _, _, each in
            #expect(paths.map { ($0 as NSString).lastPathComponent } == ["SEG.dcm", "RTSTRUCT.dcm"])
            each(0, .status(.success))
            each(1, .status(.outOfResources))
        }
        let next = try service.deliver(to: bench.configuration.destinations[0], at: Date())
        let delivered = try bench.store.job(1).deliveries.filter { $0.destination == "a" }
        #expect(delivered.map(\.state) == [.sent, .pending])
        #expect(delivered[1].note == "the peer answered status 0xA700.")
        #expect(abs(try #require(next).timeIntervalSinceNow - 10) < 3)
        #expect(try bench.store.pendingDeliveries(to: "b").count == 2)
    }

    @Test func anAssociationThatBreaksPostponesTheRest() throws {
        let bench = try bench()
        let service = service(bench) { _, _, _, each in
            each(0, .status(DIMSEStatus(rawValue: 0xB000)))
            throw POSIXError(.ECONNRESET)
        }
        _ = try service.deliver(to: bench.configuration.destinations[0], at: Date())
        let delivered = try bench.store.job(1).deliveries.filter { $0.destination == "a" }
        #expect(delivered.map(\.state) == [.sent, .pending])
        #expect(delivered[0].note == "stored with warning status 0xB000")
        _ = try service.deliver(to: bench.configuration.destinations[0], at: Date())
        #expect(try bench.store.job(1).deliveries.map(\.attempts) == [1, 1, 0, 0], "not before its time")
    }

    @Test(arguments: [-365 * 86400.0, -3600, 3600]) func aClockThatIsSetHoldsNoDeliveryUp(jump: TimeInterval) throws {
        let bench = try bench(), destination = bench.configuration.destinations[0]
        let down = service(bench) { _, _, _, _ in throw POSIXError(.ECONNREFUSED) }
        _ = try down.deliver(to: destination, at: Date())
        let up = service(bench) { paths, _, _, each in for n in paths.indices { each(n, .status(.success)) } }
        // Within the longest wait what is postponed stays so; an hour is longer.
        _ = try up.deliver(to: destination, at: Date() - 30)
        #expect(try bench.store.pendingDeliveries(to: "a").count == 2)
        _ = try up.deliver(to: destination, at: Date() + jump)
        #expect(try bench.store.pendingDeliveries(to: "a").isEmpty)
    }

    @Test func aClockThatIsSetGivesNoDeliveryUp() throws {
        let bench = try bench(), destination = bench.configuration.destinations[0], begun = ContinuousClock.now, year = 365 * 86400.0
        let down = service(bench) { _, _, _, _ in throw POSIXError(.ECONNREFUSED) }
        _ = try down.deliver(to: destination, at: Date(), steady: begun)
        _ = try down.deliver(to: destination, at: Date() + year, steady: begun + .seconds(60))
        let waiting = try bench.store.pendingDeliveries(to: "a")
        #expect(waiting.count == 2 && waiting.allSatisfy { $0.attempts == 2 })
        // An hour of waiting is the end, whatever the clock says: this run began an hour ago.
        let late = service(bench) { _, _, _, _ in throw POSIXError(.ECONNREFUSED) }
        _ = try late.deliver(to: destination, at: Date(), steady: .now - .seconds(3601))
        _ = try late.deliver(to: destination, at: Date() + year, steady: .now)
        #expect(try bench.store.job(1).deliveries.filter { $0.destination == "a" }.map(\.state) == [.failed, .failed])
    }

    @Test func waitsDoubleUpToTheLongestAndEndAtLast() throws {
        let bench = try bench()
        let now = Date()
        func outcome(attempts: Int, age: TimeInterval = 0) -> DeliveryOutcome {
            DeliveryService.outcome(
                of: .notSent(reason: "No answer."), attempts: attempts, age: age, by: bench.configuration.delivery, at: now, jitter: 1)
        }
        let waits = (0..<5).map { attempts -> Double in
            guard case .postponed(let until, _, _) = outcome(attempts: attempts) else { return -1 }
            return until.timeIntervalSince(now)
        }
        #expect(zip(waits, [10, 20, 40, 60, 60]).allSatisfy { abs($0 - $1) < 0.001 }, "\(waits)")
        guard case .postponed = outcome(attempts: 10_000) else { Issue.record("overflow"); return }
        guard case .failed = outcome(attempts: 3, age: 3601) else { Issue.record("not given up"); return }
    }

    @Test func aDestinationThatHangsHoldsUpNoOther() async throws {
        let bench = try bench()
        let release = DispatchSemaphore(value: 0)
        let service = service(bench) { paths, destination, _, each in
            if destination.name == "a" { release.wait() }
            for index in paths.indices { each(index, .status(.success)) }
        }
        let run = Task { try await service.run() }
        while try !bench.store.pendingDeliveries(to: "b").isEmpty { try await Task.sleep(for: .milliseconds(20)) }
        #expect(try bench.store.pendingDeliveries(to: "a").count == 2)
        release.signal()
        while try !bench.store.pendingDeliveries(to: "a").isEmpty { try await Task.sleep(for: .milliseconds(20)) }
        run.cancel()
        _ = await run.result
    }

    // MARK: Label maps, and what goes in their place

    /// A node with a label map in its outbox for `a`, what depends on it, and a structure set.
    private func labelMapBench() throws -> Bench {
        let bench = try Bench("""
            destinations: [{name: a, aeTitle: A, host: 127.0.0.1, port: 1, segmentation: {form: labelmap}, objects: [SEG, RTSTRUCT, SR]}]
            """)
        let id = try bench.queueJob()
        _ = try bench.store.claimJob(alive: [], at: Date())
        let specifications = bench.configuration.specifications
        let results = specifications.enumerated().map {
            NewResult(kind: $1.kind.rawValue, name: $1.name, sopClassUID: "1.4", sopInstanceUID: "1.5.\($0)", path: "results/\(id)/\($0).dcm")
        }
        let deliveries = bench.configuration.deliveries(of: specifications)
        try bench.store.finish(job: id, .succeeded(results: results, deliveries: deliveries, report: "{}"), at: Date())
        return bench
    }

    /// Sends whatever shall go; the label map's class is accepted or not. Returns the names of what went.
    private func deliver(_ bench: Bench, accepting: Bool, breakingAfter most: Int = .max) throws -> [String] {
        let names = Dictionary(uniqueKeysWithValues: try bench.store.job(1).results.map { (bench.folder.root.appending(path: $0.path).path, $0.name) })
        let sent = Mutex<[String]>([])
        let service = service(bench) { paths, _, shallSend, each in
            for (index, path) in paths.enumerated() where shallSend(index, accepting || names[path] != "SEG LABELMAP") {
                guard sent.withLock({ $0.count }) < most else { throw POSIXError(.ECONNRESET) }
                sent.withLock { $0.append(names[path]!) }
                each(index, .status(.success))
            }
        }
        _ = try service.deliver(to: bench.configuration.destinations[0], at: Date() + 3600)
        return sent.withLock { $0 }
    }

    @Test func aPeerThatTakesLabelMapsGetsOneAndTheReportOfIt() throws {
        let bench = try labelMapBench()
        #expect(try deliver(bench, accepting: true) == ["SEG LABELMAP", "RTSTRUCT", "SR of SEG LABELMAP"])
        #expect(try deliver(bench, accepting: true) == [])
        let job = try bench.store.job(1)
        #expect(job.deliveries.filter { $0.state == .omitted }.map(\.name) == ["SEG", "SR"])
        #expect(job.summary.sent == 3 && job.summary.pending == 0 && job.summary.undelivered == 0)
    }

    @Test func aPeerThatTakesNoLabelMapsGetsBinaryInItsPlaceAndTheReportOfThat() throws {
        let bench = try labelMapBench()
        #expect(try deliver(bench, accepting: false) == ["RTSTRUCT", "SEG", "SR"])
        let omitted = try bench.store.job(1).deliveries.filter { $0.state == .omitted }
        #expect(omitted.map(\.name) == ["SEG LABELMAP", "SR of SEG LABELMAP"])
        #expect(omitted.allSatisfy { $0.note == "The peer does not accept the SOP class of SEG LABELMAP." })
    }

    /// The node stops after what was sent, and the peer has changed its mind when it is there again.
    @Test(arguments: [true, false], 0...2)
    func whatWasSettledStaysSettledHoweverTheNodeEnds(accepting: Bool, sent: Int) throws {
        let bench = try labelMapBench()
        let first = try deliver(bench, accepting: accepting, breakingAfter: sent)
        let second = try deliver(bench, accepting: !accepting)
        #expect(first.count == sent)
        #expect((first + second).sorted() == (accepting ? ["RTSTRUCT", "SEG LABELMAP", "SR of SEG LABELMAP"] : ["RTSTRUCT", "SEG", "SR"]))
    }

    @Test func anAssociationThatIsNotHadSettlesNothing() throws {
        let bench = try labelMapBench()
        let service = service(bench) { _, _, _, _ in throw POSIXError(.ECONNREFUSED) }
        _ = try service.deliver(to: bench.configuration.destinations[0], at: Date())
        #expect(try bench.store.job(1).deliveries.map(\.state).filter { $0 == .standby }.count == 3)
        #expect(try deliver(bench, accepting: true).first == "SEG LABELMAP")
    }
}
