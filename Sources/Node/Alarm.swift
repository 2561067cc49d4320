import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// Wakes a service loop: at once by `ring()`, or at a time by `ring(at:)`; several rings before the loop looks are one.
final class Alarm: Sendable {
    /// A loop sleeps for this long at most: another process (`jobs retry`) may have changed the database.
    static let longestSleep: TimeInterval = 5

    private let rings: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let timer = Mutex<Task<Void, Never>?>(nil)

    init() {
        (rings, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func ring() { continuation.yield() }

    /// Runs `step` on a thread of its own now and at each ring, until the node stops. It returns when to ring next.
    ///
    /// Its errors are logged and it is run again later: a disk that is full for a while must not end the receiver.
    func answer(_ name: String, logger: Logger, _ step: @escaping @Sendable () throws -> Date?) async {
        ring()
        for await _ in rings.cancelOnGracefulShutdown() {
            var next = Date() + Self.longestSleep
            do {
                if let date = try await onOwnThread(name, step) { next = min(next, date) }
            } catch { logger.error("\(name): \(error)") }
            ring(at: next)
        }
    }

    /// Replaces the time set before.
    private func ring(at date: Date) {
        // Not for longer, though the clock is set at this moment.
        let delay = Duration.seconds(min(max(0, date.timeIntervalSinceNow), Self.longestSleep))
        timer.withLock { timer in
            timer?.cancel()
            timer = Task { [continuation] in
                if (try? await Task.sleep(for: delay)) != nil { continuation.yield() }
            }
        }
    }

    deinit { timer.withLock { $0?.cancel() } }
}

/// Runs blocking work on a thread of its own, so that it never holds up the cooperative pool.
func onOwnThread<T: Sendable>(_ name: String, _ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        let thread = Thread { continuation.resume(with: Result(catching: body)) }
        thread.name = name
        thread.stackSize = 8 << 20
        thread.start()
    }
}
