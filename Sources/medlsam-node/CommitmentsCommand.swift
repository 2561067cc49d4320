import ArgumentParser
import DICOMNetwork
import Foundation
import NodeStore

struct CommitmentsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commitments", abstract: "What peers asked to have committed to storage, and whether they have been told.",
        subcommands: [List.self, Show.self, Retry.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List requests, the newest first.")
        @OptionGroup var settings: SettingsOptions
        @OptionGroup var form: FormOptions
        @Option(help: "How many at most.") var limit = 100

        func run() throws {
            let commitments = try settings.store().commitments(limit: limit)
            if form.json { return try Terminal.print(json: commitments) }
            Terminal.print(["NO", "REPORT", "TRIES", "IMAGES", "FAILED", "REQUESTER", "RECEIVED", "TRANSACTION", "NOTE"], commitments.map {
                [String($0.id), $0.state.rawValue, String($0.attempts), String($0.references), $0.checked == nil ? "?" : String($0.failures),
                 $0.requester, $0.received.formatted(.iso8601), $0.transactionUID, $0.note ?? ""]
            })
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one request: each instance, and why any is not committed.")
        @OptionGroup var settings: SettingsOptions
        @OptionGroup var form: FormOptions
        @Argument(help: "The request's number.") var commitment: Int64

        private struct Shown: Encodable {
            let commitment: Commitment
            let references: [CommitmentReference]
        }

        func run() throws {
            let (commitment, references) = try settings.store().commitment(commitment)
            if form.json { return try Terminal.print(json: Shown(commitment: commitment, references: references)) }
            print("commitment \(commitment.id): report \(commitment.state.rawValue), \(commitment.attempts) tries")
            print("transaction \(commitment.transactionUID), asked by \(commitment.requester) at \(commitment.peer)")
            if let note = commitment.note { print("note: \(note)") }
            Terminal.print(["INSTANCE", "CLASS", "OUTCOME"], references.map { reference in
                let outcome = reference.failure.map { "failed, reason \(DIMSEStatus(rawValue: $0))" }
                return [reference.sopInstanceUID, reference.sopClassUID, outcome ?? (commitment.checked == nil ? "not checked yet" : "committed")]
            })
        }
    }

    struct Retry: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Check a request anew and report on it again.")
        @OptionGroup var settings: SettingsOptions
        @Argument(help: "The request's number.") var commitment: Int64

        func run() throws {
            try settings.store().retry(commitment: commitment, at: Date())
            print("Commitment \(commitment) waits again.")
        }
    }
}
