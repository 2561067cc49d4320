import Foundation
import NodeStore
import Synchronization

/// Empty files for what will arrive, whose entries in `incoming/` are on stable storage already: one flush of the folder serves many, and
/// no instance waits for it.
final class IncomingFiles: Sendable {
    /// Made at a time.
    private static let batch = 128
    private let folder: DataFolder
    private let spare = Mutex<[String]>([])

    init(in folder: DataFolder) { self.folder = folder }

    /// The path of one that nobody else gets. Throws `dataFolder`.
    func take() throws -> String {
        try spare.withLock { spare in
            if spare.isEmpty { spare = try make() }
            return spare.removeLast()
        }
    }

    /// Makes more where few are left, before somebody has to wait for that. Throws `dataFolder`.
    func refill() throws {
        guard spare.withLock({ $0.count < Self.batch / 2 }) else { return }
        let more = try make()
        spare.withLock { $0 += more }
    }

    private func make() throws -> [String] {
        let paths = (0..<Self.batch).map { _ in folder.newIncomingFile() }
        for path in paths {
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
            guard descriptor >= 0 else { throw NodeError(.dataFolder, "\(path) cannot be made: \(systemReason()).") }
            close(descriptor)
        }
        do { try makeDurable(folder.incoming) } catch { throw NodeError(.dataFolder, "\(error)") }
        return paths
    }
}
