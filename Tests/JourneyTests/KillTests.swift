import Foundation
import NodeTesting
import Testing

@Suite(.serialized) struct KillTests {
    @Test func killedAgainAndAgainTheNodeLosesNothingThatItAcknowledged() async throws {
        let folder = try Places.temporaryFolder("kill")
        let node = try NodeUnderTest(in: folder, models: false)
        let scan = Phantom(columns: 32, rows: 32, slices: 150)
        let slices = try scan.write(into: folder.appending(path: "ct"))
        let instances = folder.appending(path: "data/instances")
        func kept() -> Set<String> {
            let paths = (try? FileManager.default.subpathsOfDirectory(atPath: instances.path)) ?? []
            return Set(paths.filter { $0.hasSuffix(".dcm") }.map { ($0 as NSString).lastPathComponent })
        }
        var acknowledged: Set<Int> = []
        for round in 0..<3 {
            let process = try await node.serve()
            let senders = try (0..<3).map { sender in
                // Each sender begins at another place, so that some instances come for the first time and some again.
                let order = slices.indices.map { slices[($0 + 50 * sender + 20 * round) % slices.count] }
                return try BackgroundProcess(
                    "storescu", ["-v", "-aec", "MEDLSAM", "127.0.0.1", "\(node.port)"] + order, log: folder.appending(path: "\(round).\(sender).log"),
                    environment: ["TCP_NODELAY": "1"])
            }
            _ = try await eventually("some answers") { senders.contains { Self.acknowledged(in: $0.output).count > 20 } ? true : nil }
            process.kill()
            for sender in senders {
                _ = try await eventually("the sender's end") { sender.isRunning ? nil : true }
                acknowledged.formUnion(Self.acknowledged(in: sender.output))
            }
        }
        let process = try await node.serve()
        defer { process.kill() }
        // A file without a row was put aside at the start, so that only what is recorded counts.
        let files = kept()
        for slice in acknowledged { #expect(files.contains("\(scan.sopInstanceUID(slice)).dcm"), "slice \(slice) was acknowledged") }
        #expect(acknowledged.count > 50)
        #expect(try halfFiles(in: folder.appending(path: "data/incoming")).isEmpty)
        #expect(try node.send(slices).status == 0)
        let job = try await node.job("job of all slices") { $0.state == "failed" && $0.instances == slices.count }
        #expect(job.reason?.contains("no weights") == true)
        #expect(kept().count == slices.count)
    }

    /// The slices that storescu says were answered with success.
    private static func acknowledged(in output: String) -> [Int] {
        var sending: Int?
        return output.split(separator: "\n").compactMap { line in
            if line.contains("Sending file: "), let name = line.split(separator: "/").last { sending = Int(name.split(separator: ".")[1]) }
            return line.contains("Received Store Response (Success)") ? sending : nil
        }
    }
}
