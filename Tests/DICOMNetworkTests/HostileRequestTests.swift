import NodeTesting
import Testing

/// Association requests whose items lie. That nothing of them stays in memory is for the fuzzer to see (Tests/Fuzz/network).
@Suite struct HostileRequestTests {
    @Test func requestsWhoseItemsLieAreAborted() throws {
        let lies: [[UInt8]] = [
            RawPeer.item(0x51, [0, 0, 0x40]), // a maximum length of three bytes
            [0x52, 0, 0, 200, 1, 2, 3], // longer than what holds it
            RawPeer.item(0x52, [UInt8](repeating: 0x31, count: 65)), // no UID is that long
            RawPeer.item(0x54, [0, 40] + Array("1.2".utf8) + [1, 1]), // role selection with a longer UID than there is
            RawPeer.item(0x58, [9, 0, 0, 1, 65, 0, 0]), // no such user identity
            RawPeer.item(0x58, [1, 0, 0, 1, 65, 0, 1, 66]), // a passcode that its kind has not
            RawPeer.item(0x58, [1, 0, 0, 1, 65, 0, 0]) + RawPeer.item(0x58, [1, 0, 0, 1, 66, 0, 0]), // two users
            RawPeer.item(0x59, [0, 0]), // an answer's user identity
        ]
        try withSCP(try Recorder()) { port in
            for (index, lie) in lies.enumerated() {
                let peer = try #require(RawPeer(port: port))
                peer.send(RawPeer.pdu(1, RawPeer.associateRequest(contexts: [RawPeer.ct]).dropFirst(6) + RawPeer.item(0x50, lie)))
                #expect(peer.pdu()?.type == 7, "lie \(index)")
            }
            #expect(try runTool("echoscu", ["-ta", "5", "127.0.0.1", "\(port)"]).status == 0)
        }
    }

    @Test func contextsWithoutSyntaxAreAborted() throws {
        try withSCP(try Recorder()) { port in
            for context in [("1.2.840.10008.1.1", []), ("1.2.840.10008.1.1", [""]), ("", ["1.2.840.10008.1.2"])] as [(String, [String])] {
                let peer = try #require(RawPeer(port: port))
                peer.send(RawPeer.associateRequest(contexts: [context]))
                #expect(peer.pdu()?.type == 7)
            }
        }
    }
}
