import DICOMNetwork
import Logging
import ServiceLifecycle

/// Listens for associations until the node stops.
struct ReceivingService: Service {
    let provider: StorageSCP
    let onReady: @Sendable (Int) -> Void
    let logger: Logger

    func run() async throws {
        let port = try await onOwnThread("listen") { try provider.start() }
        logger.notice("Listening on port \(port).")
        onReady(port)
        try? await gracefulShutdown()
        try await onOwnThread("stop listening") { provider.stop() }
    }
}
