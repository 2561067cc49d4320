import Foundation
import NodeTesting
import Testing

/// The node's own system calls say what a power cut would leave: Tests/Judges/power_cut.py plays them into a disk that keeps only
/// what was flushed, and looks for every acknowledged instance after each flush.
@Suite struct PowerCutTests {
    @Test func aPowerCutAtNoMomentCostsAnAcknowledgedInstance() async throws {
        let folder = try Places.temporaryFolder("power-cut")
        let node = try NodeUnderTest(in: folder, models: false)
        // More than a block each, and an end that fills none: both ways of writing.
        let originals = folder.appending(path: "ct"), trace = folder.appending(path: "trace").path
        let slices = try Phantom(columns: 300, rows: 300, slices: 8).write(into: originals)
        // -D: the process started is the node, and strace watches it from beside.
        let process = try BackgroundProcess(
            "strace", ["-D", "-f", "-y", "-xx", "-s", "1000000", "-o", trace, "-e", "trace=" + Self.calls, program("medlsam-node"), "serve", "--config", node.settings],
            log: folder.appending(path: "node.log"))
        try await answersEcho("MEDLSAM", node.port)
        let senders = try [slices[..<5], slices[3...]].enumerated().map { index, part in
            try BackgroundProcess(
                "storescu", ["-aec", "MEDLSAM", "127.0.0.1", "\(node.port)"] + part, log: folder.appending(path: "\(index).log"),
                environment: ["TCP_NODELAY": "1"])
        }
        for sender in senders { _ = try await eventually("the sender's end") { sender.isRunning ? nil : true } }
        process.kill()
        _ = try await eventually("the whole trace") {
            try String(decoding: Data(contentsOf: URL(fileURLWithPath: trace)).suffix(4096), as: UTF8.self).contains("killed by SIGKILL") ? true : nil
        }

        func judge(_ options: String...) throws -> ToolResult {
            let script = Places.repository.appending(path: "Tests/Judges/power_cut.py").path
            return try runTool(Places.python, [script, trace, folder.appending(path: "data").path, originals.path] + options)
        }
        let verdict = try judge()
        #expect(verdict.status == 0 && verdict.output.contains("acknowledged 8, lost 0"), "\(verdict.output)")
        // A flush that somebody forgets is noticed.
        for flush in ["file", "folder", "row"] {
            let without = try judge("--without", flush)
            #expect(without.status == 1, "without flushing the \(flush): \(without.output)")
        }
    }

    /// What writes, names or flushes, and what answers.
    private static let calls = """
        openat,close,write,pwrite64,writev,pwritev,ftruncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,send,sendto
        """
}
