import Foundation
import Synchronization

/// Wakes a service loop: at once by `ring()`, or at a time by `ring(at:)`; several rings before the loop looks are one.
final class Alarm: Sendable {
    let rings: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let timer = Mutex<Task<Void, Never>?>(nil)

    init() {
        (rings, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func ring() { continuation.yield() }

    /// Replaces the time set before.
    func ring(at date: Date, now: Date = Date()) {
        let delay = Duration.seconds(max(0, date.timeIntervalSince(now)))
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
