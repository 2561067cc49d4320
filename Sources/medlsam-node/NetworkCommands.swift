import ArgumentParser
import DICOMCore
import DICOMNetwork
import Foundation
import Node
import NodeConfiguration

/// A peer, with the options named as DCMTK names them.
struct PeerOptions: ParsableArguments {
    @Argument(help: "Host name or address.") var host: String
    @Argument(help: "Port.") var port: Int
    @Option(name: [.customLong("aetitle"), .customLong("aet", withSingleDash: true)], help: "Title to call with.")
    var callingAETitle = "MEDLSAM"
    @Option(name: [.customLong("call"), .customLong("aec", withSingleDash: true)], help: "Title to call.")
    var calledAETitle = "ANY-SCP"
    @OptionGroup var tls: TLSOptions

    func peer() throws -> DICOMNetwork.Peer {
        guard let called = AETitle(calledAETitle), let calling = AETitle(callingAETitle) else {
            throw ValidationError("An AE title has 1 to 16 characters, no backslash and no control character.")
        }
        var peer = DICOMNetwork.Peer(host: host, port: port, calledAETitle: called, callingAETitle: calling)
        peer.tls = try tls.settings()
        peer.certificateSubject = tls.subject
        return peer
    }
}

/// Whether and how to call by TLS.
struct TLSOptions: ParsableArguments {
    @Flag(name: .customLong("tls"), help: "Call by TLS, with the section tls of the settings unless --tls-trusted is given.") var isWanted = false
    @Option(name: [.customShort("c"), .customLong("config")], help: "The node's settings, for --tls.") var config = "Config/node.yaml"
    @Option(name: .customLong("tls-trusted"), help: "PEM file, or folder of them, that the peer's certificate must lead to.") var trusted: String?
    @Option(name: .customLong("tls-certificate"), help: "PEM file of the certificate to show.") var certificate: String?
    @Option(name: .customLong("tls-key"), help: "PEM file of its key.") var key: String?
    @Option(name: .customLong("tls-profile"), help: "bcp195, bcp195-nd or bcp195-ex.") var profile = TLSSettings.Profile.bcp195NonDowngrading
    @Option(name: .customLong("tls-subject"), help: "Subject that the peer's certificate must have, such as CN=archive,O=Hospital.") var subject: String?

    func validate() throws {
        if (certificate == nil) != (key == nil) { throw ValidationError("--tls-certificate and --tls-key are needed together.") }
        if !isWanted, trusted ?? certificate ?? subject != nil { throw ValidationError("The options of TLS need --tls.") }
        if isWanted, certificate != nil, trusted == nil { throw ValidationError("--tls-certificate needs --tls-trusted.") }
    }

    func settings() throws -> TLSSettings? {
        guard isWanted else { return nil }
        if let trusted { return TLSSettings(certificate: certificate, key: key, trusted: trusted, profile: profile) }
        guard let tls = try Configuration.load(config).tls else { throw CommandFailure(.configuration, "\(config) has no section tls.") }
        return tls.settings
    }
}

extension TLSSettings.Profile: ExpressibleByArgument {}

struct EchoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "echo", abstract: "Ask a peer whether it is there (C-ECHO).")
    @OptionGroup var options: PeerOptions

    func run() throws {
        try ServiceClass.echo(try options.peer())
        print("\(options.calledAETitle) at \(options.host):\(options.port) answers.")
    }
}

struct SendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send", abstract: "Send DICOM files, or folders of them, to a peer (C-STORE), each in its own transfer syntax.")
    @OptionGroup var options: PeerOptions
    @Argument(help: "Files and folders.") var paths: [String]

    func run() throws {
        let files = try paths.flatMap(regularFiles)
        var sent = 0
        try ServiceClass.store(files, to: options.peer()) { outcome in
            switch outcome.result {
            case .success(.success): sent += 1
            case .success(let status): Terminal.complain("\(outcome.path): the peer answered \(status)")
            case .failure(let error): Terminal.complain("\(error)")
            }
            Terminal.progress("\(sent) of \(files.count) sent")
        }
        Terminal.progress("")
        print("\(sent) of \(files.count) stored by \(options.calledAETitle)")
        guard sent == files.count else { throw CommandFailure(.unavailable, "\(files.count - sent) were not stored.") }
    }
}

/// The regular files of a folder and those below it, by name; a file is itself.
func regularFiles(in path: String) throws -> [String] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
        throw CommandFailure(.noInput, "\(path) is not there.")
    }
    guard isFolder.boolValue else { return [path] }
    return try FileManager.default.subpathsOfDirectory(atPath: URL(fileURLWithPath: path).resolvingSymlinksInPath().path).sorted().map { path + "/" + $0 }.filter {
        try URL(fileURLWithPath: $0).resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true
    }
}
