import ArgumentParser
import Foundation
import Logging
import Node

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Receive CT series, contour them, and send the results on, until SIGTERM or Ctrl-C.")
    @OptionGroup var settings: SettingsOptions
    @Option(help: "The least that is logged: trace, debug, info, notice, warning, error or critical.")
    var logLevel = Logger.Level.info

    func run() async throws {
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "medlsam-node")
        logger.logLevel = logLevel
        guard let executable = Bundle.main.executableURL else {
            throw CommandFailure(.internalError, "The path of this program, which workers are started by, cannot be found.")
        }
        try await serve(settings.configuration(), executable: executable, logger: logger)
    }
}

/// What `serve` starts for each job; not for people.
struct WorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Run one job for the node that started it.", shouldDisplay: false)

    func run() { Worker.run() }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
