import DICOMNetwork
import NodeConfiguration

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
