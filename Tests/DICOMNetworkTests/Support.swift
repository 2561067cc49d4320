import DICOMCore
import DICOMNetwork
import Foundation
import Logging
import NodeTesting
import Synchronization
import Testing

/// Keeps what a storage SCP tells it, and files in a folder of its own.
final class Recorder: StorageHandler {
    struct State {
        var stored: [(request: StoreRequest, path: String)] = []
        var discarded: [(request: StoreRequest, path: String)] = []
        var ended: [(id: UInt64, released: Bool)] = []
        var associations: [AssociationInfo] = []
        var announced = 0
        var begun: [UID] = []
    }

    let folder: URL
    let state = Mutex(State())
    private let rejection: @Sendable (AssociationInfo) -> AssociationRejection?
    private let refusal: DIMSEStatus?
    private let subfolder: String
    /// User names with their passcodes; nil does not look at them.
    private let users: [String: String]?

    init(rejection: @escaping @Sendable (AssociationInfo) -> AssociationRejection? = { _ in nil }, refusal: DIMSEStatus? = nil, subfolder: String = "",
         users: [String: String]? = nil) throws {
        folder = try Places.temporaryFolder("received")
        self.users = users
        (self.rejection, self.refusal, self.subfolder) = (rejection, refusal, subfolder)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    var stored: [(request: StoreRequest, path: String)] { state.withLock { $0.stored } }
    var begun: [UID] { state.withLock { $0.begun } }
    var discarded: Int { state.withLock { $0.discarded.count } }
    var released: [Bool] { state.withLock { $0.ended.map(\.released) } }
    var files: [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [] }

    func recognition(of user: UserIdentity?, on association: AssociationInfo) -> UserRecognition {
        guard let users else { return .ignored }
        return user.map { users[$0.name] == $0.passcode ? .recognized : .refused } ?? .ignored
    }

    func accepts(_ association: AssociationInfo) -> AssociationRejection? {
        state.withLock { $0.associations.append(association) }
        return rejection(association)
    }

    func destination(of request: StoreRequest, on association: AssociationInfo) -> StoreDestination {
        if let refusal { return .refuse(refusal) }
        let number = state.withLock { state in
            state.announced += 1
            return state.announced
        }
        return .file(Arrival(request, at: folder.appending(path: subfolder + "\(association.id)-\(number).dcm").path, for: self))
    }

    private final class Arrival: ArrivingInstance {
        let path: String
        private let request: StoreRequest
        private let recorder: Recorder

        init(_ request: StoreRequest, at path: String, for recorder: Recorder) {
            (self.request, self.path, self.recorder) = (request, path, recorder)
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }

        func began(with header: DataSet) { recorder.state.withLock { $0.begun += [header.uid(.sopInstanceUID)].compactMap(\.self) } }

        func stored(in file: ReceivedFile) -> DIMSEStatus {
            recorder.state.withLock { $0.stored.append((request, file.path)) }
            return .success
        }

        func discarded() { recorder.state.withLock { $0.discarded.append((request, path)) } }
    }

    func ended(_ association: AssociationInfo, released: Bool) { state.withLock { $0.ended.append((association.id, released)) } }

    /// Waits until a condition holds, for things that happen on the association's thread.
    func wait(seconds: Int = 10, until condition: (Recorder) -> Bool) -> Bool {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < deadline {
            if condition(self) { return true }
            usleep(5000)
        }
        return condition(self)
    }
}

/// Runs a storage SCP on a free port for the length of a test.
func withSCP<R>(_ recorder: Recorder, _ change: (inout StorageSCPConfiguration) -> Void = { _ in }, _ body: (Int) throws -> R) throws -> R {
    try withSecureSCP(recorder, change) { port, _ in try body(port) }
}

/// The same with the port of TLS, too, if there is one.
func withSecureSCP<R>(_ recorder: Recorder, _ change: (inout StorageSCPConfiguration) -> Void, _ body: (Int, Int) throws -> R) throws -> R {
    var configuration = StorageSCPConfiguration(port: 0, stopTimeout: 1)
    change(&configuration)
    var logger = Logger(label: "scp")
    logger.logLevel = ProcessInfo.processInfo.environment["SCP_LOG"] == nil ? .critical : .trace
    let scp = StorageSCP(configuration: configuration, handler: recorder, logger: logger)
    let port = try scp.start()
    defer { scp.stop() }
    return try body(port, scp.securePort ?? 0)
}

/// The part of a Part 10 file after its meta information.
func dataSetBytes(_ path: String) throws -> Data {
    let file = try Data(contentsOf: URL(fileURLWithPath: path))
    let length = file[140..<144].reversed().reduce(0) { $0 << 8 | Int($1) }
    return file.dropFirst(144 + length)
}

func title(_ string: String) -> AETitle { AETitle(string)! }

/// Real files in most transfer syntaxes.
let transferSyntaxFiles: [String] = {
    let folder = Places.shared.appending(path: "data/dicom/transfer-syntaxes")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".dcm") }.sorted().map { folder.appending(path: $0).path }
}()

/// Writes a small instance of a SOP class.
func instance(_ uid: String, sopClass: UID = SOPClass.ctImageStorage, pixels: Int = 1000, in folder: URL, transferSyntax: TransferSyntax = .explicitVRLittleEndian) throws -> String {
    let set = DataSet()
    try set.set(.sopClassUID, sopClass)
    try set.set(.sopInstanceUID, uid)
    try set.set(.patientName, "Nobody")
    try set.set(.pixelData, bytes: (0..<pixels).map { UInt8(truncatingIfNeeded: $0) })
    let path = folder.appending(path: uid + ".dcm").path
    try set.write(to: path, transferSyntax: transferSyntax)
    return path
}

/// DCMTK's storescp on a free port, ended with its owner.
struct StoreSCP {
    let port: Int
    /// Where it keeps what it was sent.
    let folder: URL
    private let process: BackgroundProcess

    static func start(_ options: [String], in folder: URL) async throws -> StoreSCP {
        let storage = folder.appending(path: "storescp"), port = try freePort()
        try FileManager.default.createDirectory(at: storage, withIntermediateDirectories: true)
        let process = try BackgroundProcess("storescp", options + ["-od", storage.path, "\(port)"], log: folder.appending(path: "storescp.log"))
        try await answersEcho("STORESCP", port)
        return StoreSCP(port: port, folder: storage, process: process)
    }

    var files: [URL] { (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? [] }
}
