import DICOMCore
import DICOMNetwork
import Foundation
import NodeTesting
import Testing

@Suite struct ServiceClassTests {
    private func peer(_ port: Int, called: String = "ARCHIVE") -> Peer {
        Peer(host: "127.0.0.1", port: port, calledAETitle: title(called), callingAETitle: title("MEDLSAM"), connectTimeout: 2, associationTimeout: 2, messageTimeout: 5)
    }

    @Test func anArchiveAnswersEchoAndTakesFiles() async throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let archive = try await Dcmqrscp.start(in: folder)
        try ServiceClass.echo(peer(archive.port, called: archive.aeTitle))
        let paths = try (0..<5).map { try instance("2.25.4\($0)", in: folder) }
        var outcomes: [StoreOutcome] = []
        try ServiceClass.store(paths + [folder.appending(path: "dcmqrscp.cfg").path], to: peer(archive.port, called: archive.aeTitle)) { outcomes.append($0) }
        #expect(outcomes.filter { (try? $0.result.get()) == .success }.map { $0.sopInstanceUID?.string } == (0..<5).map { "2.25.4\($0)" })
        let unread = try #require(outcomes.first { $0.sopInstanceUID == nil })
        #expect(throws: NetworkError.self) { try unread.result.get() }
        #expect(archive.files.count == 5)
        let error = #expect(throws: NetworkError.self) { try ServiceClass.echo(peer(archive.port, called: "NOBODY")) }
        #expect(error?.code == .rejected(.calledAETitleNotRecognized), "\(String(describing: error))")
    }

    @Test(.enabled(if: Places.hasSharedData))
    func storescpGetsEveryTransferSyntaxAsItIs() async throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let server = try await StoreSCP.start(["--bit-preserving", "+xa"], in: folder)
        var sent = 0
        for path in transferSyntaxFiles {
            let source = try DataSet(contentsOf: path)
            guard let syntax = source.transferSyntaxUID, let uid = source.uid(.sopInstanceUID) else { continue }
            for file in server.files { try FileManager.default.removeItem(at: file) }
            // storescp takes every transfer syntax but some JPEG processes.
            if ["JPEGProcess6_8", "JPEGProcess10_12", "JPEGProcess14Transfer"].contains(where: path.contains) { continue }
            try ServiceClass.store([path], to: peer(server.port)) { #expect((try? $0.result.get()) == .success, "\(path)") }
            let received = try DataSet(contentsOf: try #require(server.files.first).path)
            #expect(received.transferSyntaxUID == syntax && received.uid(.sopInstanceUID) == uid)
            let pixels = { (image: DataSet) in
                try? PixelData(image, frames: 1, frameLength: image.bytes(.pixelData)?.count ?? 0).bytes(ofFrame: 0)
            }
            #expect(pixels(received) == pixels(source))
            sent += 1
        }
        #expect(sent >= 14)
    }

    @Test func uncompressedFilesAreConvertedForAPeerThatKnowsImplicitOnly() async throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let server = try await StoreSCP.start(["+xi", "--bit-preserving"], in: folder)
        let big = try instance("2.25.50", in: folder, transferSyntax: .explicitVRBigEndian)
        let little = try instance("2.25.51", in: folder)
        var outcomes: [StoreOutcome] = []
        try ServiceClass.store([big, little], to: peer(server.port)) { outcomes.append($0) }
        #expect(outcomes.allSatisfy { (try? $0.result.get()) == .success } && outcomes.count == 2 && server.files.count == 2)
        for file in server.files {
            let received = try DataSet(contentsOf: file.path)
            #expect(received.transferSyntaxUID == TransferSyntax.implicitVRLittleEndian.uid)
            #expect(received.bytes(.pixelData) == (0..<1000).map { UInt8(truncatingIfNeeded: $0) })
        }
    }

    @Test(.enabled(if: Places.hasSharedData))
    func whatAPeerDoesNotAcceptFailsAloneAndTheOthersGo() async throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let server = try await StoreSCP.start([], in: folder)
        let jpeg = try #require(transferSyntaxFiles.first { $0.contains("JPEG2000LosslessOnly") })
        let plain = try instance("2.25.60", in: folder)
        var outcomes: [StoreOutcome] = []
        try ServiceClass.store([jpeg, plain], to: peer(server.port)) { outcomes.append($0) }
        #expect(outcomes.count == 2 && (try? outcomes[1].result.get()) == .success)
        guard case .failure(let error) = outcomes[0].result else { throw NetworkError(.notAccepted, "the JPEG 2000 file was taken") }
        #expect(error.code == .notAccepted && error.message.contains("1.2.840.10008.1.2.4.90"))
    }

    @Test func moreContextsThanOneAssociationHoldsTakeTwo() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let paths = try (0..<70).map { try instance("2.25.7\($0)", sopClass: UID("1.2.276.0.99.\($0)")!, in: folder) }
        let recorder = try Recorder()
        try withSCP(recorder) { port in
            try ServiceClass.store(paths, to: peer(port)) { #expect((try? $0.result.get()) == .success) }
        }
        #expect(recorder.stored.map(\.request.sopInstanceUID.string) == (0..<70).map { "2.25.7\($0)" })
        #expect(recorder.released == [true, true])
    }

    @Test func aPeerThatIsNotThereIsUnreachable() throws {
        let port = try withSCP(try Recorder()) { $0 }
        let error = #expect(throws: NetworkError.self) { try ServiceClass.echo(peer(port)) }
        #expect(error?.code == .unreachable && error?.message.contains("127.0.0.1:\(port)") == true)
        let unknown = Peer(host: "no.such.host.invalid", port: 104, calledAETitle: title("A"), callingAETitle: title("B"), connectTimeout: 2)
        #expect(#expect(throws: NetworkError.self) { try ServiceClass.echo(unknown) }?.code == .unreachable)
    }

    @Test func aPeerThatDoesNotAnswerTimesOut() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in(), length = socklen_t(MemoryLayout<sockaddr_in>.size)
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length)
                listen(listener, 5)
                _ = getsockname(listener, $0, &length)
            }
        }
        let error = #expect(throws: NetworkError.self) { try ServiceClass.echo(peer(Int(UInt16(bigEndian: address.sin_port)))) }
        #expect(error?.code == .timeout, "\(String(describing: error))")
    }

    @Test func aPeerThatRejectsSaysWhy() throws {
        let recorder = try Recorder(rejection: { _ in .temporaryCongestion })
        try withSCP(recorder) { port in
            let error = #expect(throws: NetworkError.self) { try ServiceClass.echo(peer(port)) }
            #expect(error?.code == .rejected(.temporaryCongestion) && error?.message.contains("temporary congestion (transient)") == true)
        }
    }
}
