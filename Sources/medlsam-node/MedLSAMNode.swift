import ArgumentParser
import Foundation
import Node

/// The command: every subcommand's failure becomes one line on standard error and one status of `ExitStatus`.
@main
struct MedLSAMNode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "medlsam-node",
        abstract: "A DICOM node that contours CT series with MedLSAM.",
        discussion: "Not a medical device: what it draws is automatic and unapproved, for research only.",
        version: softwareVersion,
        subcommands: [
            ServeCommand.self, SegmentCommand.self, ExplainCommand.self, VolumeCommand.self, ConvertCommand.self, JobsCommand.self, QuarantineCommand.self,
            ConflictsCommand.self, CommitmentsCommand.self, ModelCommand.self, TemplateCommand.self, EvaluateCommand.self,
            EchoCommand.self, SendCommand.self, DoctorCommand.self, WorkerCommand.self,
        ])

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            // Help, the version and a wrong command line are the argument parser's to print.
            guard exitCode(for: error) == .failure else { exit(withError: error) }
            Terminal.complain("medlsam-node: \(error)")
            Foundation.exit((ExitStatus(of: error) ?? .internalError).rawValue)
        }
    }
}
