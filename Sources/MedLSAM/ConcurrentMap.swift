import Foundation
import Synchronization

/// What share of something is done, 0 to 1.
package typealias Progress = @Sendable (Double) -> Void

/// Transforms items on `threads` threads of its own and returns the results in order; blocks.
///
/// Networks block for long, which the cooperative pool must not. The first error ends the work and is thrown. `progress`
/// is called by one thread at a time and never goes back.
package func concurrentMap<Item: Sendable, Result: Sendable>(
    _ items: [Item], threads: Int, progress: @escaping Progress = { _ in }, _ transform: @escaping @Sendable (Item) throws -> Result
) throws -> [Result] {
    let work = Work<Result>(count: items.count, progress: progress)
    let run: @Sendable () -> Void = {
        while let n = work.takeNext() { work.put(Swift.Result { try transform(items[n]) }, at: n) }
    }
    let others = DispatchGroup()
    for _ in 1..<max(1, min(threads, items.count)) {
        others.enter()
        let thread = Thread { run(); others.leave() }
        thread.stackSize = 8 << 20
        thread.start()
    }
    run()
    others.wait()
    return try work.results()
}

private final class Work<Result: Sendable>: Sendable {
    private struct State {
        var next = 0, done = 0
        var results: [Swift.Result<Result, any Error>?]
        var failed = false
    }
    private let state: Mutex<State>
    private let progress: Progress

    init(count: Int, progress: @escaping Progress) {
        state = Mutex(State(results: Array(repeating: nil, count: count)))
        self.progress = progress
    }

    func takeNext() -> Int? {
        state.withLock { state in
            guard !state.failed, state.next < state.results.count else { return nil }
            state.next += 1
            return state.next - 1
        }
    }

    func put(_ result: Swift.Result<Result, any Error>, at n: Int) {
        state.withLock { state in
            state.results[n] = result
            if case .failure = result { state.failed = true }
            state.done += 1
            progress(Double(state.done) / Double(state.results.count))
        }
    }

    func results() throws -> [Result] {
        let results = state.withLock { $0.results.compactMap { $0 } }
        for case .failure(let error) in results { throw error }
        return try results.map { try $0.get() }
    }
}
