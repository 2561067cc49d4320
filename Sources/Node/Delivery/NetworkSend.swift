import DICOMNetwork
import NodeConfiguration

extension Configuration {
    /// A destination as a peer to call.
    public func peer(_ destination: Destination) -> DICOMNetwork.Peer {
        DICOMNetwork.Peer(
            host: destination.host, port: destination.port, calledAETitle: destination.aeTitle,
            callingAETitle: destination.callingAETitle ?? aeTitle, connectTimeout: delivery.timeoutSeconds,
            associationTimeout: delivery.timeoutSeconds, messageTimeout: delivery.timeoutSeconds)
    }
}

extension DeliveryService {
    /// Sends by C-STORE.
    static func network(_ configuration: Configuration) -> Send {
        { paths, destination, each in
            try ServiceClass.store(paths, to: configuration.peer(destination)) { outcome in
                guard let index = paths.firstIndex(of: outcome.path) else { return }
                switch outcome.result {
                case .success(let status): each(index, .status(status))
                case .failure(let error): each(index, .notSent(reason: error.message))
                }
            }
        }
    }
}
