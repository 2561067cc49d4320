import DICOMNetwork
import NodeConfiguration

extension DeliveryService {
    /// Sends by C-STORE.
    static func network(_ configuration: Configuration) -> Send {
        { paths, destination, shallSend, each in
            let indices = Dictionary(uniqueKeysWithValues: zip(paths, paths.indices))
            try ServiceClass.store(paths, to: configuration.peer(destination), shallSend: { shallSend(indices[$0]!, $1) }) { outcome in
                switch outcome.result {
                case .success(let status): each(indices[outcome.path]!, .status(status))
                case .failure(let error): each(indices[outcome.path]!, .notSent(reason: error.message))
                }
            }
        }
    }
}
