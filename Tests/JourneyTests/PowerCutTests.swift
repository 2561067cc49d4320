import Foundation
import Logging
import NodeTesting
import Testing

@testable import Node

/// The node's own system calls say what a power cut would leave: Tests/Judges/power_cut.py plays them into a disk that keeps only
/// what was flushed, a node starts on each such folder, and the judge looks for every acknowledged instance.
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
        // Two at once, some instances from both; then a third, whose records lie where those of the first lay.
        for parts in [[slices[..<4], slices[2..<6]], [slices[5...]]] {
            let senders = try parts.map { part in
                try BackgroundProcess(
                    "storescu", ["-aec", "MEDLSAM", "127.0.0.1", "\(node.port)"] + part, log: folder.appending(path: "\(part.startIndex).log"),
                    environment: ["TCP_NODELAY": "1"])
            }
            for sender in senders { _ = try await eventually("the sender's end") { sender.isRunning ? nil : true } }
        }
        process.kill()
        _ = try await eventually("the whole trace") {
            try String(decoding: Data(contentsOf: URL(fileURLWithPath: trace)).suffix(4096), as: UTF8.self).contains("killed by SIGKILL") ? true : nil
        }

        func judge(_ options: String...) throws -> ToolResult {
            let script = Places.repository.appending(path: "Tests/Judges/power_cut.py").path
            let cuts = try Places.temporaryFolder("cuts")
            defer { try? FileManager.default.removeItem(at: cuts) }
            let played = try runTool(Places.python, [script, "cuts", trace, folder.appending(path: "data").path, cuts.path] + options)
            #expect(played.status == 0, "\(played.output)")
            for cut in try FileManager.default.contentsOfDirectory(at: cuts, includingPropertiesForKeys: nil) where cut.hasDirectoryPath {
                // Where the database is gone there is nothing to start on; the judge says so.
                _ = try? open(DataFolder(cut), creating: true, logger: Logger(label: "cut") { _ in SwiftLogNoOpLogHandler() })
            }
            return try runTool(Places.python, [script, "check", cuts.path, originals.path])
        }
        let verdict = try judge()
        #expect(verdict.status == 0 && verdict.output.contains("acknowledged 8, lost 0"), "\(verdict.output)")
        // A flush that somebody forgets is noticed.
        for flush in ["file", "folder", "journal", "row"] {
            let without = try judge("--without", flush)
            #expect(without.status == 1, "without flushing the \(flush): \(without.output)")
        }
    }

    /// What writes, names or flushes, and what answers.
    private static let calls = """
        openat,close,write,pwrite64,writev,pwritev,ftruncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,send,sendto
        """
}
