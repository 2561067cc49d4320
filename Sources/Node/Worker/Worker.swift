import DICOMImaging
import Foundation
import MedLSAM
import ModelRuntime
import Synchronization

/// The body of the hidden command `worker`: one job, asked for on standard input, answered on standard output.
public enum Worker {
    /// Runs the job and ends the process. It also ends, at once, when standard input closes: nobody waits for it then.
    public static func run() -> Never {
        // Libraries may print; the answers keep the real standard output for themselves.
        let answers = Answers(descriptor: dup(STDOUT_FILENO))
        dup2(STDERR_FILENO, STDOUT_FILENO)
        // Ctrl-C in a terminal is for the node, which decides what becomes of its workers.
        signal(SIGINT, SIG_IGN)
        guard let line = readLine(), let request = try? NodeJSON.decode(WorkerRequest.self, from: line) else {
            FileHandle.standardError.write(Data("worker: standard input holds no request; `serve` starts workers.\n".utf8))
            _exit(64)
        }
        Thread.detachNewThread {
            var byte: UInt8 = 0
            while read(STDIN_FILENO, &byte, 1) > 0 {}
            _exit(3)
        }
        answers.say(answer(to: request) { answers.say(.progress(stage: $0, fraction: $1)) })
        // Not exit(): the answer is given, and what a library does at its end cannot spoil it any more.
        _exit(0)
    }

    /// Does what was asked and says how it went; never throws.
    static func answer(
        to request: WorkerRequest,
        engine: (WorkerRequest) throws -> any ContouringEngine = {
            try MedLSAMEngine(templateSet: $0.templateSet, method: $0.method, folders: $0.models, threads: $0.threads)
        },
        progress: @escaping ContouringJob.Progress
    ) -> WorkerMessage {
        do {
            let job = ContouringJob(
                engine: try engine(request), deviceSerialNumber: request.deviceSerialNumber, contentDate: request.contentDate,
                specifications: request.specifications, replaces: request.replaces)
            return .finished(try job.run(paths: request.inputs, output: URL(fileURLWithPath: request.output), progress: progress))
        } catch let error as MedLSAMError {
            return error.code == .volumeUnusable ? .refused(reason: error.message) : .failed(reason: error.message)
        } catch let error as ModelError {
            return .failed(reason: error.message)
        } catch let error as ImagingError {
            return error.code == .unreadable ? .failed(reason: error.message) : .refused(reason: error.message)
        } catch let error as NodeError {
            return .failed(reason: error.message)
        } catch {
            return .stumbled(reason: "\(error)")
        }
    }
}

/// Writes messages, a line each, whole lines at a time.
private final class Answers: Sendable {
    private let descriptor: Int32
    private let lock = Mutex(())

    init(descriptor: Int32) { self.descriptor = descriptor }

    func say(_ message: WorkerMessage) {
        let line = Array((NodeJSON.encode(message) + "\n").utf8)
        lock.withLock { _ in
            var rest = line[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }
}
