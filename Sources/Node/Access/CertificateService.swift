import DICOMNetwork
import ServiceLifecycle
import UnixSignals

/// Looks on SIGHUP whether certificates have changed; each new connection looks as well.
struct CertificateService: Service {
    let provider: StorageSCP

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() { provider.reloadCertificates() }
        // A service that ends takes the node with it.
        try? await gracefulShutdown()
    }
}
