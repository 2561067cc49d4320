import Foundation
import Glibc
import Synchronization

/// One run of a worker process, seen from the node.
final class WorkerProcess: Sendable {
    /// How a run ended.
    enum Ending: Sendable {
        case said(WorkerMessage)
        /// Crashed, was killed or ran out of time; the reason says which.
        case lost(reason: String)
        /// `stop()` was called.
        case stopped
    }

    private enum Halt { case timeout, stop }
    private struct State {
        var processID: Int32?
        var halt: Halt?
    }
    private let state = Mutex(State())

    /// Starts the worker and waits for its end; blocks. `progress` gets stage and fraction.
    func run(
        executable: URL, arguments: [String], request: WorkerRequest, timeout: TimeInterval,
        progress: @Sendable (String, Double) -> Void
    ) throws -> Ending {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        // The lock orders start and stop(): a stop before the start keeps the worker from starting at all.
        guard try state.withLock({ state in
            guard state.halt == nil else { return false }
            try process.run()
            state.processID = process.processIdentifier
            return true
        }) else { return .stopped }
        let timer = DispatchSource.makeTimerSource()
        timer.setEventHandler { [weak self] in self?.halt(.timeout) }
        timer.schedule(deadline: .now() + timeout)
        timer.activate()
        // A worker that is dead already shows as a closed output below; writing to it is no news.
        try? input.fileHandleForWriting.write(contentsOf: Data((NodeJSON.encode(request) + "\n").utf8))
        let last = read(output.fileHandleForReading, progress: progress)
        process.waitUntilExit()
        timer.cancel()
        let halt = state.withLock { state in
            state.processID = nil
            return state.halt
        }
        try? input.fileHandleForWriting.close()
        switch (halt, process.terminationReason, process.terminationStatus, last) {
        case (.stop, _, _, _): return .stopped
        case (.timeout, _, _, _): return .lost(reason: "The worker was killed: it took longer than \(Int(timeout)) s.")
        case (_, .exit, 0, let message?): return .said(message)
        case (_, .uncaughtSignal, let signal, _): return .lost(reason: "The worker was ended by signal \(signal) (\(String(cString: strsignal(signal)))).")
        case (_, _, let status, _): return .lost(reason: "The worker ended with status \(status) and no result.")
        }
    }

    /// Kills the worker, for a node that stops.
    func stop() { halt(.stop) }

    private func halt(_ reason: Halt) {
        state.withLock { state in
            if state.halt == nil { state.halt = reason }
            if let processID = state.processID { kill(processID, SIGKILL) }
        }
    }

    /// Reads messages to the end of the output; returns the last one that is a result.
    private func read(_ handle: FileHandle, progress: (String, Double) -> Void) -> WorkerMessage? {
        var buffer = Data()
        var last: WorkerMessage?
        // Not FileHandle.read, which waits until it has all the bytes it asked for.
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = Glibc.read(handle.fileDescriptor, &chunk, chunk.count), count > 0 {
            buffer.append(contentsOf: chunk[..<count])
            while let end = buffer.firstIndex(of: 0x0A) {
                let message = try? NodeJSON.decode(WorkerMessage.self, from: String(decoding: buffer[..<end], as: UTF8.self))
                buffer.removeSubrange(...end)
                switch message {
                case .progress(let stage, let fraction): progress(stage, fraction)
                case let result?: last = result
                case nil: break
                }
            }
        }
        return last
    }
}
