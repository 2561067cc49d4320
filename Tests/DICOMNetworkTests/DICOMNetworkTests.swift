import DICOMCore
import DICOMNetwork
import Foundation
import NodeTesting
import Testing

@Suite struct StorageSCPTests {
    @Test func echoscuIsAnsweredOverBothFamilies() throws {
        let recorder = try Recorder()
        try withSCP(recorder) { port in
            #expect(try runTool("echoscu", ["-aec", "NODE", "-aet", "TESTER", "127.0.0.1", "\(port)"]).status == 0)
            #expect(recorder.wait { $0.released == [true] })
            let info = try #require(recorder.state.withLock { $0.associations.first })
            #expect(info.calledAETitle.string == "NODE" && info.callingAETitle.string == "TESTER" && info.peerAddress == "127.0.0.1")
            if let peer = RawPeer(port: port, ipv6: true) {
                peer.send(RawPeer.associateRequest(contexts: [("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])]))
                #expect(peer.pdu()?.type == 2)
                peer.send(RawPeer.data(1, command: true, last: true, RawPeer.echoRequest))
                #expect(peer.status() == 0)
                #expect(recorder.state.withLock { $0.associations.last?.peerAddress } == "::1")
            }
        }
    }

    /// storescu's option that proposes a transfer syntax.
    private static let options = [
        "1.2.840.10008.1.2": "-xi", "1.2.840.10008.1.2.1": "-xe", "1.2.840.10008.1.2.1.99": "-xd", "1.2.840.10008.1.2.2": "-xb",
        "1.2.840.10008.1.2.4.50": "-xy", "1.2.840.10008.1.2.4.51": "-xx", "1.2.840.10008.1.2.4.70": "-xs", "1.2.840.10008.1.2.4.80": "-xt",
        "1.2.840.10008.1.2.4.81": "-xu", "1.2.840.10008.1.2.4.90": "-xv", "1.2.840.10008.1.2.4.91": "-xw", "1.2.840.10008.1.2.5": "-xr",
    ]

    @Test(.enabled(if: Places.hasSharedData && FileManager.default.fileExists(atPath: Places.python)))
    func storescuSendsEveryTransferSyntaxAndPydicomReadsItBackEqual() throws {
        let recorder = try Recorder()
        var sent: [String] = []
        try withSCP(recorder) { port in
            for path in transferSyntaxFiles {
                guard let syntax = try DataSet(contentsOf: path, stoppingBefore: .pixelData).transferSyntaxUID, let option = Self.options[syntax.string] else { continue }
                let result = try runTool("storescu", ["-R", option, "127.0.0.1", "\(port)", path])
                #expect(result.status == 0, "\(path): \(result.output)")
                sent.append(path)
            }
        }
        let stored = recorder.stored
        #expect(stored.count == sent.count && sent.count >= 12 && recorder.discarded == 0)
        let pairs = zip(sent, stored).flatMap { [$0, $1.path] }
        let judged = try runTool(Places.python, ["-c", """
        import sys, warnings, pydicom
        warnings.simplefilter("ignore")
        names = sys.argv[1:]
        for a, b in zip(names[::2], names[1::2]):
            x, y = pydicom.dcmread(a), pydicom.dcmread(b)
            for d in (x, y): d.pop((0x0002, 0x0000), None)
            even = lambda v: v + b"\\0" * (len(v) % 2) if isinstance(v, bytes) else v
            kept = lambda d: [(e.tag, even(e.value)) for e in d if e.tag.element != 0 and e.tag != 0xfffcfffc]
            assert kept(x) == kept(y), a
            assert x.file_meta.TransferSyntaxUID == y.file_meta.TransferSyntaxUID, a
            assert y.file_meta.ImplementationVersionName == "MEDLSAM-NODE_0" and y.file_meta.SourceApplicationEntityTitle == "STORESCU"
            assert y.file_meta.MediaStorageSOPInstanceUID == y.SOPInstanceUID
        print("equal", len(names) // 2)
        """] + pairs)
        #expect(judged.output.contains("equal \(sent.count)"), "\(judged.output)")
    }

    @Test func dataSetsAreStoredByteForByteInTransferSyntaxesNobodyKnows() throws {
        let recorder = try Recorder()
        let syntaxes = ["1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.1", "1.2.276.0.99.1"]
        let bytes = (0..<300_002).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        try withSCP(recorder) { port in
            let peer = try #require(RawPeer(port: port))
            peer.send(RawPeer.associateRequest(contexts: syntaxes.map { ("1.2.840.10008.5.1.4.1.1.2", [$0, "1.2.840.10008.1.2"]) }))
            let answer = try #require(peer.pdu())
            #expect(RawPeer.contexts(in: answer.body).mapValues(\.syntax) == [1: syntaxes[0], 3: syntaxes[1], 5: syntaxes[2]])
            for index in syntaxes.indices {
                let context = UInt8(2 * index + 1)
                peer.send(RawPeer.data(context, command: true, last: true, RawPeer.storeRequest(instance: "2.25.\(index)")))
                for start in stride(from: 0, to: bytes.count, by: 100_000) {
                    let end = min(start + 100_000, bytes.count)
                    peer.send(RawPeer.data(context, command: false, last: end == bytes.count, Array(bytes[start..<end])))
                }
                #expect(peer.status() == 0)
            }
            peer.send(RawPeer.releaseRequest)
            #expect(peer.pdu()?.type == 6)
        }
        #expect(recorder.stored.map(\.request.transferSyntaxUID.string) == syntaxes)
        #expect(recorder.stored.map(\.request.sopInstanceUID.string) == ["2.25.0", "2.25.1", "2.25.2"])
        for (index, one) in recorder.stored.enumerated() {
            #expect(try dataSetBytes(one.path) == Data(bytes))
            #expect(try Data(contentsOf: URL(fileURLWithPath: one.path)).prefix(400).range(of: Data(syntaxes[index].utf8)) != nil)
        }
        #expect(recorder.released == [true])
    }

    @Test func theHeaderIsHandedOnWhilePixelDataStillCome() throws {
        let recorder = try Recorder()
        let pixels = [UInt8](repeating: 7, count: 200_000), uid = Array("2.25.5".utf8)
        let header = RawPeer.little(0x0008, 2) + RawPeer.little(0x0018, 2) + Array("UI".utf8) + RawPeer.little(uid.count, 2) + uid
            + RawPeer.little(0x7FE0, 2) + RawPeer.little(0x0010, 2) + Array("OW".utf8) + [0, 0] + RawPeer.little(pixels.count, 4)
        try withSCP(recorder) { port in
            let peer = try #require(RawPeer(port: port))
            peer.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            _ = try #require(peer.pdu())
            peer.send(RawPeer.data(1, command: true, last: true, RawPeer.storeRequest(instance: "2.25.5")))
            peer.send(RawPeer.data(1, command: false, last: false, header + pixels[..<100_000]))
            #expect(recorder.wait { $0.begun.map(\.string) == ["2.25.5"] })
            #expect(recorder.stored.isEmpty)
            peer.send(RawPeer.data(1, command: false, last: true, Array(pixels[100_000...])))
            #expect(peer.status() == 0)
        }
        #expect(try dataSetBytes(#require(recorder.stored.first).path) == Data(header + pixels))
    }

    @Test func allOneHundredTwentyEightContextsAreAnsweredOneByOne() throws {
        let recorder = try Recorder()
        try withSCP(recorder) { port in
            let peer = try #require(RawPeer(port: port))
            let query = "1.2.840.10008.5.1.4.1.2.2.1"
            var contexts = (0..<127).map { ("1.2.840.113619.4.\($0)", (0..<12).map { "1.2.840.10008.1.2.4.\(50 + $0)" }) }
            contexts.append((query, ["1.2.840.10008.1.2"]))
            peer.send(RawPeer.associateRequest(contexts: contexts))
            let answer = try #require(peer.pdu())
            let results = RawPeer.contexts(in: answer.body)
            #expect(answer.type == 2 && results.count == 128)
            #expect(results.filter { $0.value.result == 0 }.count == 127)
            #expect(results[255]?.result == 3) // abstract syntax not supported, PS3.8 table 9-18
        }
    }

    @Test func aRefusedInstanceIsReadOffAndTheAssociationGoesOn() throws {
        let recorder = try Recorder(refusal: .outOfResources)
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let paths = try (0..<3).map { try instance("2.25.10\($0)", pixels: 500_000, in: folder) }
        try withSCP(recorder) { port in
            var statuses: [DIMSEStatus] = []
            try ServiceClass.store(paths, to: Peer(host: "127.0.0.1", port: port, calledAETitle: title("NODE"), callingAETitle: title("ME"))) {
                statuses.append((try? $0.result.get()) ?? .success)
            }
            #expect(statuses == [.outOfResources, .outOfResources, .outOfResources])
        }
        #expect(recorder.stored.isEmpty && recorder.files.isEmpty && recorder.released == [true])
    }

    @Test func aFileThatCannotBeWrittenIsOutOfResourcesAndDiscarded() throws {
        let recorder = try Recorder(subfolder: "absent/")
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = try instance("2.25.11", pixels: 500_000, in: folder)
        try withSCP(recorder) { port in
            let result = try runTool("storescu", ["-nh", "-v", "127.0.0.1", "\(port)", path, path])
            #expect(result.output.components(separatedBy: "OutOfResources").count == 3, "\(result.output)")
        }
        #expect(recorder.discarded == 2 && recorder.stored.isEmpty)
    }

    @Test func identifiersThatAreNoUIDsNeverReachTheHandler() throws {
        let recorder = try Recorder()
        try withSCP(recorder) { port in
            let peer = try #require(RawPeer(port: port))
            peer.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            #expect(peer.pdu()?.type == 2)
            for (bad, status) in [("../../etc/x", 0x0117), ("2.25.1/..", 0x0117), (String(repeating: "1", count: 80), 0x0117)] as [(String, UInt16)] {
                peer.send(RawPeer.data(1, command: true, last: true, RawPeer.storeRequest(instance: bad)) + RawPeer.data(1, command: false, last: true, [0, 0]))
                #expect(peer.status() == status)
            }
            peer.send(RawPeer.data(1, command: true, last: true, RawPeer.storeRequest(sopClass: "CT/..")) + RawPeer.data(1, command: false, last: true, [0, 0]))
            #expect(peer.status() == 0x0122)
        }
        #expect(recorder.state.withLock { $0.announced } == 0 && recorder.files.isEmpty)
    }

    @Test func stopBreaksWhatDoesNotEnd() throws {
        let recorder = try Recorder()
        let clock = ContinuousClock()
        var peer: RawPeer?
        var start = clock.now
        try withSCP(recorder) { port in
            peer = RawPeer(port: port)
            peer?.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            #expect(peer?.pdu()?.type == 2)
            start = clock.now
        }
        #expect(clock.now - start < .seconds(5))
        #expect(recorder.released == [false])
    }

    @Test func aTakenPortIsAnErrorThatNamesIt() throws {
        try withSCP(try Recorder()) { port in
            let error = #expect(throws: NetworkError.self) { try withSCP(try Recorder(), { $0.port = port }) { _ in } }
            #expect(error?.code == .cannotListen && error?.message.contains("\(port)") == true)
        }
    }
}
