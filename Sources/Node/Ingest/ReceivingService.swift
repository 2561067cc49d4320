import DICOMNetwork
import ServiceLifecycle

/// Listens for associations until the node stops.
struct ReceivingService: Service {
    let provider: StorageSCP
    let onReady: @Sendable (Int) -> Void

    func run() async throws {
        let port = try await onOwnThread("listen") { try provider.start() }
        onReady(port)
        try? await gracefulShutdown()
        try await onOwnThread("stop listening") { provider.stop() }
    }
}
