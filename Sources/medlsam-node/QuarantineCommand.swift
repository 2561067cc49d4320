import ArgumentParser
import Foundation
import Node
import NodeStore

struct QuarantineCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quarantine", abstract: "Series kept apart because they claim a study or series UID of another patient or study.",
        subcommands: [List.self, Release.self, Keep.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List series that wait for a decision, with a file of each side to compare.")
        @OptionGroup var settings: SettingsOptions
        @OptionGroup var form: FormOptions
        @Flag(help: "Also those that were decided about, with the decisions.") var all = false

        func run() throws {
            let series = try settings.store().quarantine(settled: all)
            if form.json { return try Terminal.print(json: series) }
            Terminal.print(["NUMBER", "STATE", "IMAGES", "LAST", "FROM", "SERIES", "FILE", "FILE OF THE OTHER", "REASON OR DECISIONS"], series.map {
                [String($0.id), $0.state.rawValue, String($0.instances), $0.lastArrival.formatted(.iso8601), $0.callingAETitles.joined(separator: " "),
                 $0.seriesInstanceUID, $0.path ?? "-", $0.otherPath ?? "-", Self.story($0)]
            })
        }

        private static func story(_ series: QuarantinedSeries) -> String {
            let decisions = series.decisions.map { "\($0.decision.rawValue) \($0.made.formatted(.iso8601)) by \($0.who): \($0.why)" }
            return (decisions.isEmpty ? [series.reason ?? ""] : decisions).joined(separator: "; ")
        }
    }

    /// The series and why, as both decisions take them.
    struct Decision: ParsableArguments {
        @OptionGroup var settings: SettingsOptions
        @Argument(help: "The series' number, as `quarantine list` shows it.") var series: Int64
        @Option(help: "Why; kept with the decision. No patient data, please.") var reason: String

        /// The account that decides: the one behind sudo where there is one.
        var who: String { ProcessInfo.processInfo.environment["SUDO_USER"] ?? NSUserName() }

        func validate() throws {
            if reason.allSatisfy(\.isWhitespace) { throw ValidationError("--reason must say something.") }
        }
    }

    struct Release: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a series out: it is of that study and patient after all, and is contoured if it can be.")
        @OptionGroup var decision: Decision

        func run() throws {
            try decision.settings.store().release(
                series: decision.series, who: decision.who, why: decision.reason, refusal: contouringRefusal, at: Date())
            print("Series number \(decision.series) is out of quarantine.")
        }
    }

    struct Keep: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Note that a series stays apart for good: it is kept, and neither contoured nor deleted.")
        @OptionGroup var decision: Decision

        func run() throws {
            try decision.settings.store().keepApart(series: decision.series, who: decision.who, why: decision.reason, at: Date())
            print("Series number \(decision.series) stays apart.")
        }
    }
}

struct ConflictsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "conflicts", abstract: "List SOP Instance UIDs that came with different contents, and what became of each.")
    @OptionGroup var settings: SettingsOptions
    @OptionGroup var form: FormOptions
    @Option(help: "How many at most.") var limit = 100

    func run() throws {
        let conflicts = try settings.store().conflicts(limit: limit)
        if form.json { return try Terminal.print(json: conflicts) }
        Terminal.print(["OUTCOME", "LAST", "TIMES", "FROM", "INSTANCE", "EARLIER FILE", "LATER FILE"], conflicts.map {
            [$0.outcome.rawValue, $0.last.formatted(.iso8601), String($0.times), "\($0.callingAETitle) \($0.peer)", $0.sopInstanceUID, $0.heldPath,
             $0.otherPath ?? "not kept"]
        })
    }
}
