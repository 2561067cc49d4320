import DICOMCore
import DICOMNetwork
import Foundation
import NodeTesting
import Testing

@Suite struct HostilePeerTests {
    private func answers(_ port: Int) throws -> Bool { try runTool("echoscu", ["-ta", "5", "127.0.0.1", "\(port)"]).status == 0 }

    @Test func fiftyIdleAndSlowClientsDelayNobody() throws {
        let recorder = try Recorder()
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let paths = try (0..<20).map { try instance("2.25.20\($0)", pixels: 10_000, in: folder) }
        try withSCP(recorder) { port in
            let idle = (0..<50).compactMap { _ in RawPeer(port: port) }
            let half = (0..<20).compactMap { _ in RawPeer(port: port) }
            let request = RawPeer.associateRequest(contexts: [RawPeer.ct])
            for (index, peer) in half.enumerated() { peer.send(Array(request.prefix(1 + index * 7))) }
            let elapsed = try ContinuousClock().measure {
                let result = try runTool("storescu", ["127.0.0.1", "\(port)"] + paths)
                #expect(result.status == 0, "\(result.output)")
            }
            #expect(elapsed < .seconds(5) && recorder.stored.count == 20)
            // A slow one is served once its request is whole.
            half[5].send(Array(request.dropFirst(1 + 5 * 7)))
            #expect(half[5].pdu()?.type == 2)
            #expect(idle.count == 50)
        }
    }

    @Test func aRequestThatDoesNotComeInTimeIsClosed() throws {
        try withSCP(try Recorder(), { $0.associationTimeout = 1 }) { port in
            let peer = try #require(RawPeer(port: port))
            peer.send([1, 0, 0, 0])
            let elapsed = ContinuousClock().measure { #expect(peer.pdu() == nil) }
            #expect(elapsed > .milliseconds(800) && elapsed < .seconds(5))
        }
    }

    @Test func whatIsNoAssociationRequestIsAborted() throws {
        try withSCP(try Recorder()) { port in
            for bytes in [Array("GET / HTTP/1.1\r\n\r\n".utf8), RawPeer.pdu(4, [0, 0, 0, 2, 1, 3]), [1, 0, 0xFF, 0xFF, 0xFF, 0xFF], [1, 0, 0, 0, 0, 1, 0]] {
                let peer = try #require(RawPeer(port: port))
                peer.send(bytes)
                #expect(peer.pdu()?.type == 7)
            }
            #expect(try answers(port))
        }
    }

    @Test func aLongRequestIsWaitedForInWhole() throws {
        try withSCP(try Recorder()) { port in
            let peer = try #require(RawPeer(port: port))
            let contexts = (0..<128).map { ("1.2.840.113619.4.\($0)", (0..<18).map { "1.2.840.10008.1.2.4.\(50 + $0)" }) }
            let request = RawPeer.associateRequest(contexts: contexts)
            #expect(request.count > 64_000)
            for start in stride(from: 0, to: request.count, by: 9_000) { peer.send(Array(request[start..<min(start + 9_000, request.count)])) }
            #expect(peer.pdu()?.type == 2)
        }
    }

    @Test func mutatedAssociationRequestsAndMessagesBreakNothing() throws {
        let recorder = try Recorder()
        try withSCP(recorder) { port in
            var random = Seeded(7)
            let request = RawPeer.associateRequest(contexts: [RawPeer.ct, ("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])])
            let message = RawPeer.data(1, command: true, last: true, RawPeer.storeRequest()) + RawPeer.data(1, command: false, last: true, [UInt8](repeating: 1, count: 64))
            for round in 0..<1500 {
                let peer = try #require(RawPeer(port: port))
                var (first, second) = (request, message)
                func mutate(_ bytes: inout [UInt8], from: Int) {
                    for _ in 0..<Int.random(in: 1...4, using: &random) {
                        let at = Int.random(in: from..<bytes.count, using: &random)
                        if Bool.random(using: &random) { bytes[at] = UInt8.random(in: 0...255, using: &random) } else { bytes[at] = [0, 1, 0x7F, 0xFF].randomElement(using: &random)! }
                    }
                }
                if round % 2 == 0 { mutate(&first, from: 6) } else { mutate(&second, from: 0) }
                peer.send(first + second)
                peer.reset()
            }
            #expect(try answers(port))
        }
        // Some mutations are harmless; what was taken is whole, what was not has left nothing.
        let stored = Set(recorder.stored.map(\.path))
        #expect(Set(recorder.files.map { recorder.folder.appending(path: $0).path }) == stored)
        for path in stored { #expect(try dataSetBytes(path).count == 64) }
    }

    @Test func lengthsThatLieEndTheAssociation() throws {
        let recorder = try Recorder()
        try withSCP(recorder) { port in
            let lies: [[UInt8]] = [
                [4, 0, 0xFF, 0xFF, 0xFF, 0xF0, 0, 0, 0, 10, 1, 3],
                [4, 0, 0, 0, 0, 12, 0xFF, 0xFF, 0xFF, 0xFF, 1, 3, 0, 0, 0, 0, 0, 0],
                [4, 0, 0, 0, 0, 5, 0, 0, 0, 1, 1],
                RawPeer.data(1, command: true, last: true, RawPeer.little(0, 2) + RawPeer.little(2, 2) + RawPeer.little(0x7FFF_FFFF, 4)),
                RawPeer.data(99, command: true, last: true, RawPeer.echoRequest),
                RawPeer.data(1, command: false, last: true, [0, 0]),
            ]
            for (index, lie) in lies.enumerated() {
                let peer = try #require(RawPeer(port: port))
                peer.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
                #expect(peer.pdu()?.type == 2)
                peer.send(lie)
                var last = peer.pdu()
                while let next = peer.pdu() { last = next }
                #expect(last?.type == 7 || last == nil, "lie \(index)")
                #expect(recorder.wait { $0.released.count == index + 1 }, "lie \(index)")
            }
            #expect(try answers(port))
        }
        #expect(recorder.state.withLock { $0.announced } == 0)
    }

    /// Nested sequences in a command set: DCMTK's own parser would recurse until the stack ends.
    @Test func commandsOfNestedSequencesOrWithoutEndAreAborted() throws {
        let recorder = try Recorder()
        try withSCP(recorder) { port in
            let level = RawPeer.little(8, 2) + RawPeer.little(0x1140, 2) + RawPeer.little(0xFFFF_FFFF, 4) + [0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]
            let peer = try #require(RawPeer(port: port))
            peer.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            #expect(peer.pdu()?.type == 2)
            let fragment = RawPeer.data(1, command: true, last: false, (0..<1000).flatMap { _ in level })
            for _ in 0..<100 where peer.send(fragment) {}
            #expect(recorder.wait { $0.released == [false] })
            #expect(try answers(port))
        }
    }

    @Test func aTransferThatBreaksOffLeavesNothing() throws {
        let recorder = try Recorder()
        try withSCP(recorder) { port in
            let endings: [(RawPeer) -> Void] = [
                { _ in }, // closed by the peer's end
                { $0.reset() },
                { $0.send(RawPeer.pdu(7, [0, 0, 0, 0])) },
                { $0.send(RawPeer.data(1, command: true, last: true, RawPeer.echoRequest)) },
                { $0.send(RawPeer.data(1, command: false, last: true, [0])) },
                { $0.send(RawPeer.releaseRequest) },
            ]
            for (index, end) in endings.enumerated() {
                var peer = RawPeer(port: port)
                peer?.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
                #expect(peer?.pdu()?.type == 2)
                peer?.send(RawPeer.data(1, command: true, last: true, RawPeer.storeRequest()))
                peer?.send(RawPeer.data(1, command: false, last: false, [UInt8](repeating: 7, count: 100_000)))
                end(peer!)
                peer = nil
                #expect(recorder.wait { $0.discarded == index + 1 && $0.released.count == index + 1 }, "ending \(index)")
            }
            #expect(recorder.stored.isEmpty && recorder.files.isEmpty)
            #expect(recorder.released.allSatisfy { !$0 })
        }
    }

    @Test func aSenderThatIsKilledLeavesNothingHalf() throws {
        let recorder = try Recorder()
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = try instance("2.25.30", pixels: 40_000_000, in: folder)
        try withSCP(recorder) { port in
            let sender = Process()
            sender.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            sender.arguments = ["storescu", "--repeat", "50", "127.0.0.1", "\(port)", path]
            sender.standardError = FileHandle.nullDevice
            try sender.run()
            #expect(recorder.wait { $0.stored.count >= 1 && $0.state.withLock { $0.announced } > $0.stored.count })
            kill(sender.processIdentifier, SIGKILL)
            sender.waitUntilExit()
            #expect(recorder.wait { $0.released == [false] })
        }
        #expect(recorder.files.count == recorder.stored.count)
        let original = try dataSetBytes(path).count
        for one in recorder.stored { #expect(abs(try dataSetBytes(one.path).count - original) < 200) }
    }

    @Test func aPeerThatFallsSilentIsAborted() throws {
        let recorder = try Recorder()
        try withSCP(recorder, { $0.messageTimeout = 1 }) { port in
            let peer = try #require(RawPeer(port: port))
            peer.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            #expect(peer.pdu()?.type == 2)
            peer.send(RawPeer.data(1, command: true, last: true, RawPeer.storeRequest()))
            #expect(recorder.wait(seconds: 5) { $0.released == [false] && $0.discarded == 1 })
            #expect(recorder.files.isEmpty)
        }
    }

    @Test func aPeerThatDripsIsAborted() throws {
        let recorder = try Recorder()
        try withSCP(recorder, { $0.messageTimeout = 1 }) { port in
            let peer = try #require(RawPeer(port: port))
            peer.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            #expect(peer.pdu()?.type == 2)
            let message = RawPeer.data(1, command: true, last: true, RawPeer.storeRequest())
            var drops = 0
            for byte in message where recorder.released.isEmpty && peer.send([byte]) {
                drops += 1
                usleep(100_000)
            }
            #expect(recorder.wait(seconds: 5) { $0.released == [false] })
            #expect(drops < message.count / 2)
        }
    }

    @Test func fiveHundredIdleSocketsDelayNobody() throws {
        try withSCP(try Recorder()) { port in
            let idle = (0..<500).compactMap { _ in RawPeer(port: port) }
            let answered = try answers(port)
            #expect(idle.count == 500 && answered)
            // None of them was closed for it.
            idle[0].send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            #expect(idle[0].pdu()?.type == 2)
        }
    }

    /// What a server may answer to an association request of ours, and what must not be believed.
    @Test(arguments: [[2, 0, 0xFF, 0xFF, 0xFF, 0xFF], [2, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 1], [3, 0, 0, 0x10, 0, 0], [9, 0, 0, 0, 0, 4, 0, 0, 0, 0], Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), []] as [[UInt8]])
    func serversThatAnswerNonsenseAreErrors(answer: [UInt8]) throws {
        let server = try RawServer(answer: answer)
        let peer = Peer(host: "127.0.0.1", port: server.port, calledAETitle: title("A"), callingAETitle: title("B"), connectTimeout: 2, associationTimeout: 2, messageTimeout: 2)
        let error = #expect(throws: NetworkError.self) { try ServiceClass.echo(peer) }
        #expect(error?.code == .aborted || error?.code == .protocolViolation || error?.code == .timeout, "\(String(describing: error))")
    }
}
