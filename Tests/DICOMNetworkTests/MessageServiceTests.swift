import DICOMCore
import Foundation
import Logging
import NodeTesting
import Synchronization
import Testing

@testable import DICOMNetwork

private let stepClass = "1.2.840.10008.3.1.2.3.3"

/// A service that answers success, and reports once when it is told to.
private final class FakeService: MessageService {
    struct State {
        var requests: [(operation: OperationRequest.Operation, instance: UID?, patient: String?)] = []
        var reports = 0
        var outcomes: [Result<DIMSEStatus, NetworkError>] = []
    }
    let sopClassUIDs: Set<UID> = [SOPClass.modalityPerformedProcedureStep]
    let state = Mutex(State())

    func answer(_ request: OperationRequest, on association: AssociationInfo) -> OperationAnswer {
        state.withLock { $0.requests.append((request.operation, request.sopInstanceUID, request.dataSet?.string(.patientID))) }
        return OperationAnswer(.success)
    }

    func nextReport(on association: AssociationInfo) -> EventReport? {
        guard state.withLock({ state in
            state.reports -= 1
            return state.reports >= 0
        }) else { return nil }
        let dataSet = DataSet()
        try? dataSet.set(.patientID, "P")
        return EventReport(id: 1, sopClassUID: SOPClass.modalityPerformedProcedureStep, sopInstanceUID: UID("1.9")!, eventTypeID: 1, dataSet: dataSet)
    }

    func reported(_ report: EventReport, _ result: Result<DIMSEStatus, NetworkError>, on association: AssociationInfo) {
        state.withLock { $0.outcomes.append(result) }
    }
}

/// Messages of a peer that speaks by hand.
@Suite struct MessageServiceTests {
    private func withService<R>(_ service: FakeService, _ body: (RawPeer) throws -> R) throws -> R {
        var logger = Logger(label: "scp")
        logger.logLevel = .critical
        let scp = StorageSCP(configuration: StorageSCPConfiguration(port: 0, stopTimeout: 1), handler: try Recorder(), services: [service], logger: logger)
        let port = try scp.start()
        defer { scp.stop() }
        let peer = try #require(RawPeer(port: port))
        peer.send(RawPeer.associateRequest(contexts: [(stepClass, ["1.2.840.10008.1.2"]), RawPeer.ct]))
        #expect(peer.pdu()?.type == 2)
        return try body(peer)
    }

    private func even(_ text: String) -> [UInt8] { Array(text.utf8) + (text.utf8.count % 2 == 0 ? [] : [0]) }

    private func create(_ sopClass: String = stepClass, field: Int = 0x0140, instance: String = "1.9", hasDataSet: Bool = true) -> [UInt8] {
        RawPeer.data(1, command: true, last: true, RawPeer.command([
            (0x0002, even(sopClass)), (0x0100, RawPeer.little(field, 2)), (0x0110, RawPeer.little(3, 2)),
            (0x0800, RawPeer.little(hasDataSet ? 1 : 0x0101, 2)), (0x1000, even(instance)),
        ]))
    }

    /// An element in Implicit VR Little Endian.
    private func element(_ group: Int, _ number: Int, _ value: [UInt8]) -> [UInt8] {
        RawPeer.little(group, 2) + RawPeer.little(number, 2) + RawPeer.little(value.count, 4) + value
    }

    @Test func aMessageInManyFragmentsIsPutTogether() throws {
        let service = FakeService()
        try withService(service) { peer in
            let dataSet = element(0x0010, 0x0020, Array("FRAGMENTED".utf8))
            peer.send(create())
            for (index, byte) in dataSet.enumerated() { peer.send(RawPeer.data(1, command: false, last: index == dataSet.count - 1, [byte])) }
            #expect(peer.status() == 0)
        }
        #expect(service.state.withLock { $0.requests.map(\.patient) } == ["FRAGMENTED"])
    }

    @Test func whatCannotBeUnderstoodIsAnsweredAndTheAssociationGoesOn() throws {
        let service = FakeService()
        try withService(service) { peer in
            func answer(to command: [UInt8], _ dataSet: [UInt8]?) -> UInt16? {
                peer.send(command + (dataSet.map { RawPeer.data(1, command: false, last: true, $0) } ?? []))
                return peer.status()
            }
            let good = element(0x0010, 0x0020, [0x50, 0x20])
            // A sequence in a sequence in a sequence ..., each open to the end.
            let level: [UInt8] = [0x40, 0, 0x30, 0xA7, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]
            let deep = Array(repeatElement(level, count: 60_000).joined())
            #expect(answer(to: create(), Array(repeating: 0xFF, count: 9)) == 0x0110)
            #expect(answer(to: create(), Array(good.dropLast())) == 0x0110, "cut off")
            peer.send(create())
            let pieces = stride(from: 0, to: deep.count, by: 60_000).map { Array(deep[$0..<min($0 + 60_000, deep.count)]) }
            for (index, piece) in pieces.enumerated() { peer.send(RawPeer.data(1, command: false, last: index == pieces.count - 1, piece)) }
            #expect(peer.status() == 0x0110, "nested without an end")
            #expect(answer(to: create("1.2.840.10008.5.1.4.33"), good) == 0x0118)
            #expect(answer(to: create(instance: "1..9"), good) == 0x0117)
            #expect(answer(to: create(field: 0x0777), good) == 0x0211)
            #expect(answer(to: create(hasDataSet: false), nil) == 0)
            #expect(answer(to: create(), good) == 0)
        }
        #expect(service.state.withLock { $0.requests.map(\.patient) } == [nil, "P"])
    }

    @Test func aDataSetThatIsTooLongIsReadOffAndRefused() throws {
        let service = FakeService()
        try withService(service) { peer in
            peer.send(create())
            let piece = [UInt8](repeating: 0, count: 120_000)
            for _ in 0..<(Message.longestDataSet / piece.count + 1) { peer.send(RawPeer.data(1, command: false, last: false, piece)) }
            peer.send(RawPeer.data(1, command: false, last: true, [0, 0]))
            #expect(peer.status() == 0x0213)
            let good = element(0x0010, 0x0020, [0x50, 0x20])
            peer.send(create() + RawPeer.data(1, command: false, last: true, good))
            #expect(peer.status() == 0)
        }
        #expect(service.state.withLock { $0.requests.count } == 1)
    }

    @Test func aReportIsSentAndWhatThePeerMakesOfItIsTold() throws {
        let service = FakeService()
        service.state.withLock { $0.reports = 2 }
        func respond(_ messageID: Int) -> [UInt8] {
            RawPeer.data(1, command: true, last: true, RawPeer.command([
                (0x0002, even(stepClass)), (0x0100, RawPeer.little(0x8100, 2)), (0x0120, RawPeer.little(messageID, 2)),
                (0x0800, RawPeer.little(0x0101, 2)), (0x0900, RawPeer.little(0x0110, 2)),
            ]))
        }
        try withService(service) { peer in
            peer.send(create(hasDataSet: false))
            #expect(peer.status() == 0)
            #expect(peer.pdu()?.body[5] == 3, "the report's command")
            #expect(peer.pdu()?.body[5] == 2, "and its data set")
            peer.send(respond(1))
            // The second report stays without an answer.
            _ = (peer.pdu(), peer.pdu())
            peer.send(RawPeer.releaseRequest)
            #expect(peer.pdu()?.type == 6)
        }
        let outcomes = service.state.withLock { $0.outcomes }
        #expect(try outcomes.first?.get() == DIMSEStatus(rawValue: 0x0110))
        #expect(outcomes.count == 2 && isFailure(outcomes[1]))
    }

    private func isFailure(_ result: Result<DIMSEStatus, NetworkError>) -> Bool { (try? result.get()) == nil }

    @Test func anAnswerToNothingAborts() throws {
        try withService(FakeService()) { peer in
            peer.send(create(field: 0x8100, hasDataSet: false))
            #expect(peer.pdu()?.type == 7)
        }
    }

    @Test func commandSetsComeBackAsTheyWere() throws {
        var command = CommandSet()
        command[.commandField] = 0x0140
        command[.messageID] = 0xABCD
        command.set(.affectedSOPClassUID, "1.2.3")
        command.set(.errorComment, "odd", padding: 0x20)
        let bytes = command.encoded
        #expect(bytes.count % 2 == 0 && CommandSet(bytes) == command)
        #expect(CommandSet(bytes)?.text(.affectedSOPClassUID) == "1.2.3" && CommandSet(bytes)?.text(.errorComment) == "odd")
        #expect(CommandSet(Array(bytes.dropLast())) == nil && CommandSet([1, 2, 3]) == nil)
    }
}
