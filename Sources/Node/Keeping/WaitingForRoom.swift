import DICOMNetwork
import Foundation
import Logging
import NodeConfiguration
import NodeStore
import ServiceLifecycle
import Synchronization

/// Opens a data folder; where its disk is full, answers peers meanwhile and goes on as soon as there is room. Nil when the node is stopped before.
func openOnceThereIsRoom(_ folder: DataFolder, _ configuration: Configuration, logger: Logger) async throws -> (Store, DataFolderLock)? {
    let attempt: @Sendable () throws -> (Store, DataFolderLock) = { try open(folder, creating: configuration.createDataDirectory, logger: logger) }
    do { return try await onOwnThread("start", attempt) } catch {
        guard folder.mayLackRoom(after: error) else { throw error }
        logger.error(
            "The disk of \(folder.root.path) is full, and the start cannot go on: \(error) C-STORE is answered 0xA700 until there is room; nothing that was acknowledged is lost.")
    }
    let waiting = WaitingForRoom(folder: folder, attempt: attempt)
    let provider = StorageSCP(
        configuration: configuration.storageSCP,
        handler: Gate(configuration, before: RefusesAll(watch: try FolderWatch(folder, configuration, logger: logger)), logger: logger), services: [], logger: logger)
    let services: [ServiceGroupConfiguration.ServiceConfiguration] = [
        .init(service: waiting, successTerminationBehavior: .gracefullyShutdownGroup), .init(service: ReceivingService(provider: provider) { _ in }),
    ]
    try await ServiceGroup(configuration: .init(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)).run()
    return waiting.opened.withLock { $0 }
}

/// Tries to open a data folder again whenever its disk has more room, and now and then.
private final class WaitingForRoom: Service {
    /// Seconds between two looks at the disk, and looks after which an attempt is made all the same: a quota may have changed.
    private static let pause = 1.0, patience = 30
    let opened = Mutex<(Store, DataFolderLock)?>(nil)
    private let folder: DataFolder
    private let attempt: @Sendable () throws -> (Store, DataFolderLock)

    init(folder: DataFolder, attempt: @escaping @Sendable () throws -> (Store, DataFolderLock)) {
        (self.folder, self.attempt) = (folder, attempt)
    }

    func run() async throws {
        var free = try folder.freeSpace().bytes, looks = 0
        // The sleep ends with the node.
        while (try? await cancelWhenGracefulShutdown({ try await Task.sleep(for: .seconds(Self.pause)) })) != nil, !Task.isShuttingDownGracefully {
            let now = try folder.freeSpace().bytes
            looks += 1
            guard now > free || looks >= Self.patience else { continue }
            (free, looks) = (now, 0)
            do {
                let result = try await onOwnThread("start", attempt)
                return opened.withLock { $0 = result }
            } catch where folder.mayLackRoom(after: error) {}
        }
    }
}

/// What receives while nothing can be kept: associations come in, as far as the watermarks let them, and every instance is refused.
private struct RefusesAll: StorageHandler {
    let watch: FolderWatch

    func accepts(_ association: AssociationInfo) -> AssociationRejection? { watch.admission().associations ? nil : .temporaryCongestion }
    func destination(of request: StoreRequest, on association: AssociationInfo) -> StoreDestination { .refuse(.outOfResources) }
    func ended(_ association: AssociationInfo, released: Bool) {}
}

extension DataFolder {
    /// What a start may need beside what is there: the rows of a full journal, and a few files.
    private static let startBytes: off_t = 8 << 20

    /// Whether an error of a start may come of a disk or quota that is full.
    func mayLackRoom(after error: any Error) -> Bool {
        switch error {
        case let error as NodeError where error.code != .dataFolder: return false
        case let error as StoreError where error.code == .damaged || error.code == .newer: return false
        default: break
        }
        let path = incoming.appending(path: "probe.part").path, file = Glibc.open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer {
            if file >= 0 { close(file) }
            unlink(path)
        }
        let reason = file < 0 ? errno : posix_fallocate(file, 0, Self.startBytes)
        return reason == ENOSPC || reason == EDQUOT
    }
}
