import Foundation
import NodeTesting

/// The path of a program that was built beside the tests.
func program(_ name: String) -> String {
    URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent().appending(path: name).path
}

/// `medlsam-node serve` with settings and a data folder of its own; started, killed and started again by a test.
struct NodeUnderTest: Sendable {
    struct Destination: Sendable {
        let name, aeTitle: String
        let port: Int
        /// What it says of itself besides, such as `profile: eclipse`.
        var settings: String?
    }

    let folder: URL
    let port: Int
    var settings: String { folder.appending(path: "node.yaml").path }

    /// Writes the settings; with `models` false, they name folders that hold no weights.
    init(in folder: URL, destinations: [Destination] = [], models: Bool = true, minimumFreeMegabytes: Int = 100,
         rules: String = "[{name: everything}]", more: String = "") throws {
        self.folder = folder
        port = try freePort()
        let installed = models ? Places.local.appending(path: "models") : folder.appending(path: "no-models")
        let list = destinations.map { "\n  - {name: \($0.name), aeTitle: \($0.aeTitle), host: 127.0.0.1, port: \($0.port)\($0.settings.map { ", " + $0 } ?? "")}" }
        try """
            aeTitle: MEDLSAM
            host: 127.0.0.1
            port: \(port)
            dataDirectory: data
            models:
              manifests: \(Places.repository.appending(path: "Models").path)
              installed: \(installed.path)
              runtime: \(Places.local.appending(path: "openvino").path)
              templates: \(Places.repository.appending(path: "Models/templates").path)
            receiving: {minimumFreeMegabytes: \(minimumFreeMegabytes), minimumFreePercent: 0}
            completion: {idleSeconds: 1, gapSeconds: 3}
            selection: {rules: \(rules)}
            delivery: {firstRetrySeconds: 1, longestRetrySeconds: 2}
            destinations: \(list.isEmpty ? "[]" : list.joined())
            \(more)

            """.write(toFile: settings, atomically: true, encoding: .utf8)
    }

    /// Starts it and waits until it answers.
    func serve() async throws -> BackgroundProcess {
        let log = folder.appending(path: "node.log")
        let process = try BackgroundProcess(
            program("medlsam-node"), ["serve", "--config", settings, "--log-level", "debug"], log: log, environment: ["TZ": "UTC"])
        try await answersEcho("MEDLSAM", port)
        return process
    }

    /// Runs another subcommand with this node's settings.
    @discardableResult
    func command(_ arguments: String...) throws -> ToolResult {
        try runTool(program("medlsam-node"), arguments + ["--config", settings])
    }

    /// Sends files as a scanner would.
    func send(_ paths: [String]) throws -> ToolResult {
        try runTool("storescu", ["-aec", "MEDLSAM", "-aet", "SCANNER", "127.0.0.1", "\(port)", "+sd", "+r"] + paths)
    }

    /// A job as `jobs list --json` shows it.
    struct Job: Decodable {
        let id: Int
        let state: String
        let reason: String?
        let attempts, instances, sent, pending: Int
        let created: String
        let seriesInstanceUID: String
    }

    /// The jobs, the newest first.
    func jobs() throws -> [Job] {
        let answer = try command("jobs", "list", "--json")
        return answer.status == 0 ? try JSONDecoder().decode([Job].self, from: Data(answer.output.utf8)) : []
    }

    /// Waits until a job of the node is as wanted.
    func job(within seconds: Double = 30, _ what: String, _ isWanted: (Job) -> Bool) async throws -> Job {
        do {
            return try await eventually(what, within: seconds) { try jobs().first(where: isWanted) }
        } catch {
            let log = (try? String(contentsOf: folder.appending(path: "node.log"), encoding: .utf8)) ?? ""
            throw Expired("\(error); jobs: \(try jobs()); log:\n\(log.suffix(4000))")
        }
    }
}
