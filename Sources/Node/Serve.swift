import Foundation
import Logging
import NodeConfiguration

/// Receives, contours and delivers until SIGTERM or SIGINT.
///
/// `executable` is run as `executable worker` for each job. `onReady` gets the port once associations are accepted.
/// Throws when the data folder cannot be used or the port cannot be listened on; a missing model only fails jobs.
public func serve(
    _ configuration: Configuration, executable: URL, logger: Logger, onReady: @escaping @Sendable (Int) -> Void = { _ in }
) async throws {
    fatalError("being built")
}
