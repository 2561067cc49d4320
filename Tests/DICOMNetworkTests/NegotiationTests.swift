import DICOMCore
import DICOMNetwork
import Foundation
import NodeTesting
import Testing

/// What an association request is answered, byte by byte and by what pynetdicom makes of it.
@Suite struct NegotiationTests {
    private static let verification = ("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])
    private static let ctClass = "1.2.840.10008.5.1.4.1.1.2"

    private func answer(_ port: Int, _ request: [UInt8]) throws -> (type: UInt8, body: [UInt8]) {
        let peer = try #require(RawPeer(port: port))
        peer.send(request)
        return try #require(peer.pdu())
    }

    private static func sized(_ bytes: [UInt8]) -> [UInt8] { RawPeer.big(bytes.count, 2) + bytes }
    private static func sized(_ text: String) -> [UInt8] { sized(Array(text.utf8)) }

    // MARK: Rejection

    @Test(arguments: [
        (RawPeer.associateRequest(application: "1.2.3.4", contexts: [RawPeer.ct]), [0, 1, 1, 2]),
        (RawPeer.associateRequest(version: 2, contexts: [RawPeer.ct]), [0, 1, 2, 2]),
        (RawPeer.associateRequest(calling: "   ", contexts: [RawPeer.ct]), [0, 1, 1, 3]),
        (RawPeer.associateRequest(called: "A\\B", contexts: [RawPeer.ct]), [0, 1, 1, 7]),
    ] as [([UInt8], [UInt8])])
    func whatNoAssociationCanComeOfIsRejected(request: [UInt8], reason: [UInt8]) throws {
        let recorder = try Recorder()
        try withSCP(recorder) { port in
            let answer = try answer(port, request)
            #expect(answer.type == 3 && answer.body == reason)
        }
        #expect(recorder.state.withLock { $0.associations.isEmpty && $0.ended.isEmpty })
    }

    @Test(arguments: [
        (.calledAETitleNotRecognized, [0, 1, 1, 7]), (.callingAETitleNotRecognized, [0, 1, 1, 3]), (.noReasonGiven, [0, 1, 1, 1]),
        (.temporaryCongestion, [0, 2, 3, 1]), (.localLimitExceeded, [0, 2, 3, 2]),
    ] as [(AssociationRejection, [UInt8])])
    func theHandlersRefusalGoesOutAsItIs(rejection: AssociationRejection, bytes: [UInt8]) throws {
        let recorder = try Recorder(rejection: { _ in rejection })
        try withSCP(recorder) { port in
            let answer = try answer(port, RawPeer.associateRequest(contexts: [RawPeer.ct]))
            #expect(answer.type == 3 && answer.body == bytes)
            #expect(try runTool("echoscu", ["127.0.0.1", "\(port)"]).output.contains("Association Rejected"))
        }
        #expect(recorder.released.isEmpty)
    }

    @Test func requestsBeyondTheMaximumWaitForTheirTurn() throws {
        let recorder = try Recorder()
        try withSCP(recorder, { ($0.maximumAssociations, $0.queueTimeout) = (1, 20) }) { port in
            let first = try #require(RawPeer(port: port)), second = try #require(RawPeer(port: port))
            first.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            #expect(first.pdu()?.type == 2)
            second.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            // Whoever hangs up while waiting is forgotten.
            RawPeer(port: port)?.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            first.send(RawPeer.releaseRequest)
            #expect(first.pdu()?.type == 6)
            first.reset()
            #expect(second.pdu()?.type == 2)
        }
    }

    @Test func requestsThatWaitTooLongAreRejectedForTheTimeBeing() throws {
        let recorder = try Recorder()
        try withSCP(recorder, { ($0.maximumAssociations, $0.queueTimeout) = (1, 0.3) }) { port in
            let first = try #require(RawPeer(port: port))
            first.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            #expect(first.pdu()?.type == 2)
            let rejected = try answer(port, RawPeer.associateRequest(contexts: [RawPeer.ct]))
            #expect(rejected.type == 3 && rejected.body == [0, 2, 3, 2])
            #expect(try runTool("echoscu", ["127.0.0.1", "\(port)"]).output.contains("Local Limit Exceeded"))
        }
        #expect(recorder.state.withLock { $0.associations.count } == 1)
    }

    // MARK: Lengths

    @Test func aRequestOfHalfAMegabyteIsAnswered() throws {
        try withSCP(try Recorder()) { port in
            let syntaxes = (0..<130).map { "1.2.840.10008.1.2.4.\(String(repeating: "9", count: 8))\($0)" }
            let request = RawPeer.associateRequest(contexts: (0..<128).map { ("1.2.840.113619.4.\($0)", syntaxes) })
            #expect(request.count > 500_000)
            let answer = try answer(port, request)
            #expect(answer.type == 2 && RawPeer.contexts(in: answer.body).values.allSatisfy { $0.result == 0 && $0.syntax == syntaxes[0] })
        }
    }

    @Test func aRequestOfMoreThanAMegabyteIsAborted() throws {
        try withSCP(try Recorder()) { port in
            for length in [1 << 20 + 1, 0x7FFF_FFFF, 0xFFFF_FFFF] {
                let answer = try answer(port, [1, 0] + RawPeer.big(length, 4))
                #expect(answer.type == 7 && answer.body == [0, 0, 2, 6])
            }
        }
    }

    @Test func itemsThatDoNotFitIntoEachOtherAreAborted() throws {
        try withSCP(try Recorder()) { port in
            let good = RawPeer.associateRequest(contexts: [RawPeer.ct])
            for cut in [1, 9, 40, good.count - 75] {
                let answer = try answer(port, RawPeer.pdu(1, Array(good[6..<(good.count - cut)])))
                #expect(answer.type == 7, "\(cut)")
            }
            for contexts in [[], [(Self.ctClass, [])], [("", ["1.2.840.10008.1.2"])]] as [[(String, [String])]] {
                #expect(try answer(port, RawPeer.associateRequest(contexts: contexts)).type == 7)
            }
        }
    }

    // MARK: Presentation contexts

    /// The storage SOP classes as DCMTK's header lists them; retired ones included.
    private static let storageClasses: [String] = {
        let header = (try? String(contentsOfFile: "/usr/include/dcmtk/dcmdata/dcuid.h", encoding: .utf8)) ?? ""
        return header.matches(of: /#define UID_\w*Storage\w*\s+"(1\.2\.840\.10008\.5\.[0-9.]+)"/).map { String($0.1) }
    }()

    /// Non-Patient Object Storage (PS3.4 GG): hanging protocols, palettes, implant templates. They have no study and no series.
    private static let patientless = Set(["38.1", "39.1", "43.1", "44.1", "45.1"].map { "1.2.840.10008.5.1.4." + $0 })

    @Test func everyStorageClassIsTaken() throws {
        let classes = Set(Self.storageClasses).subtracting(Self.patientless).sorted()
        #expect(classes.count >= 186)
        try withSCP(try Recorder()) { port in
            for start in stride(from: 0, to: classes.count, by: 128) {
                let part = classes[start..<min(start + 128, classes.count)]
                let answer = try answer(port, RawPeer.associateRequest(contexts: part.map { ($0, ["1.2.840.10008.1.2.1"]) }))
                let refused = RawPeer.contexts(in: answer.body).filter { $0.value.result != 0 }.keys.map { classes[start + Int($0) / 2] }
                #expect(refused.isEmpty, "\(refused)")
            }
        }
    }

    @Test func privateAndUnknownStorageClassesAreTakenAsSet() throws {
        let privateClass = "1.2.276.0.99.7", unknown = "1.2.840.10008.5.1.4.99.1"
        for takesPrivate in [true, false] {
            try withSCP(try Recorder(), { $0.takesPrivateSOPClasses = takesPrivate }) { port in
                let common = RawPeer.item(0x57, Self.sized(unknown) + Self.sized("1.2.840.10008.4.2") + Self.sized([]))
                let syntaxes = ["1.2.840.10008.1.2.1"]
                let contexts = [(privateClass, syntaxes), (unknown, syntaxes), (unknown + ".1", syntaxes), (Self.ctClass, ["no uid"]), ("no uid", syntaxes),
                                ("1.2.840.10008.5.1.4.34.7", syntaxes), (Self.ctClass, ["1.2.276.0.99.1"]), (Self.ctClass, syntaxes)]
                let answer = try answer(port, RawPeer.associateRequest(contexts: contexts, userItems: common))
                let results = RawPeer.contexts(in: answer.body).sorted { $0.key < $1.key }.map(\.value.result)
                #expect(results == [takesPrivate ? 0 : 3, 0, 3, 4, 3, 0, 0, 0])
            }
        }
    }

    @Test func servicesThatWereNotNegotiatedAreUnrecognized() throws {
        let recorder = try Recorder()
        try withSCP(recorder) { port in
            let peer = try #require(RawPeer(port: port))
            peer.send(RawPeer.associateRequest(contexts: [RawPeer.ct, Self.verification]))
            #expect(peer.pdu()?.type == 2)
            let find = RawPeer.command([
                (0x0002, Array("1.2.840.10008.5.1.4.1.1.2\0".utf8)), (0x0100, RawPeer.little(0x20, 2)), (0x0110, RawPeer.little(9, 2)), (0x0800, RawPeer.little(0, 2)),
            ])
            peer.send(RawPeer.data(1, command: true, last: true, find) + RawPeer.data(1, command: false, last: true, [0, 0]))
            #expect(peer.status() == 0x0211)
            // C-STORE in a context of Verification.
            peer.send(RawPeer.data(3, command: true, last: true, RawPeer.storeRequest()) + RawPeer.data(3, command: false, last: true, [0, 0]))
            #expect(peer.status() == 0x0211)
            peer.send(RawPeer.data(3, command: true, last: true, RawPeer.echoRequest))
            #expect(peer.status() == 0)
            peer.send(RawPeer.releaseRequest)
            #expect(peer.pdu()?.type == 6)
        }
        #expect(recorder.released == [true] && recorder.state.withLock { $0.announced } == 0)
    }

    // MARK: User information

    @Test func theOperationsWindowIsNegotiatedAndKept() throws {
        let recorder = try Recorder()
        try withSCP(recorder) { port in
            for (proposed, answered) in [(nil, nil), ([0, 1, 0, 1], [0, 1, 0, 1]), ([0, 0, 0, 0], [0, 16, 0, 1]), ([0, 5, 0, 7], [0, 5, 0, 1]), ([1, 0, 0, 1], [0, 16, 0, 1])] as [([UInt8]?, [UInt8]?)] {
                let answer = try answer(port, RawPeer.associateRequest(contexts: [RawPeer.ct], userItems: proposed.map { RawPeer.item(0x53, $0) } ?? []))
                #expect(RawPeer.userItems(in: answer.body)[0x53]?.first == answered)
            }
            // Sixteen operations without waiting for an answer.
            let peer = try #require(RawPeer(port: port))
            peer.send(RawPeer.associateRequest(contexts: [RawPeer.ct], userItems: RawPeer.item(0x53, [0, 16, 0, 1])))
            #expect(peer.pdu()?.type == 2)
            let stores = (0..<16).flatMap { RawPeer.data(1, command: true, last: true, RawPeer.storeRequest(instance: "2.25.60\($0)")) + RawPeer.data(1, command: false, last: true, [1, 2]) }
            peer.send(stores)
            for _ in 0..<16 { #expect(peer.status() == 0) }
        }
        #expect(recorder.stored.map(\.request.sopInstanceUID.string) == (0..<16).map { "2.25.60\($0)" })
    }

    @Test func extendedNegotiationOfStorageIsAnsweredWithWhatTheNodeDoes() throws {
        try withSCP(try Recorder()) { port in
            func item(_ uid: String, _ information: [UInt8]) -> [UInt8] { RawPeer.item(0x56, Self.sized(uid) + information) }
            let items = item(Self.ctClass, [0, 0, 0, 0, 1, 0]) + item("1.2.840.10008.1.1", [1]) + item("1.2.840.10008.5.1.4.1.1.4", [0, 0])
            let answer = try answer(port, RawPeer.associateRequest(contexts: [RawPeer.ct, Self.verification], userItems: items))
            // Level 2, signatures kept bit by bit, no coercion; nothing of Verification, nor of what was not accepted.
            #expect(RawPeer.userItems(in: answer.body)[0x56] == [Self.sized(Self.ctClass) + [2, 0, 3, 0, 0, 0]])
            let short = try self.answer(port, RawPeer.associateRequest(contexts: [RawPeer.ct], userItems: item(Self.ctClass, [0, 0])))
            #expect(RawPeer.userItems(in: short.body)[0x56] == [Self.sized(Self.ctClass) + [2, 0]])
        }
    }

    @Test func rolesAreAnsweredOnceAndOnlyThatOfTheUserIsGranted() throws {
        try withSCP(try Recorder()) { port in
            for (scu, scp) in [(1, 0), (1, 1), (0, 1)] as [(UInt8, UInt8)] {
                let answer = try answer(port, RawPeer.associateRequest(contexts: [RawPeer.ct], userItems: RawPeer.item(0x54, Self.sized(Self.ctClass) + [scu, scp])))
                #expect(RawPeer.userItems(in: answer.body)[0x54] == [Self.sized(Self.ctClass) + [scu, 0]])
            }
        }
    }

    @Test(arguments: [
        ("user", "secret", true, [[0, 0]]), ("user", "secret", false, nil), ("user", "wrong", true, []), ("nobody", "secret", true, []),
    ] as [(String, String, Bool, [[UInt8]]?)])
    func aUserIsRecognizedOrRefused(name: String, passcode: String, asks: Bool, expected: [[UInt8]]?) throws {
        let identity = RawPeer.item(0x58, [2, asks ? 1 : 0] + Self.sized(name) + Self.sized(passcode))
        try withSCP(try Recorder(users: ["user": "secret"])) { port in
            let answer = try answer(port, RawPeer.associateRequest(contexts: [RawPeer.ct], userItems: identity))
            if expected == [] {
                #expect(answer.type == 3 && answer.body == [0, 1, 2, 1])
            } else {
                #expect(answer.type == 2 && RawPeer.userItems(in: answer.body)[0x59] == expected)
            }
        }
        // Where users are not looked at, the peer hears nothing of it (PS3.7 D.3.3.7).
        try withSCP(try Recorder()) { port in
            let answer = try answer(port, RawPeer.associateRequest(contexts: [RawPeer.ct], userItems: identity))
            #expect(answer.type == 2 && RawPeer.userItems(in: answer.body)[0x59] == nil)
        }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: Places.python)))
    func pynetdicomIsAnsweredWhatItAsksFor() throws {
        try withSCP(try Recorder(users: ["user": "secret"])) { port in
            let judged = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/negotiation.py").path, "\(port)"])
            #expect(judged.status == 0 && judged.output.contains("all as negotiated"), "\(judged.output)")
        }
    }
}
