import ArgumentParser
import Foundation
import Node
import NodeStore

struct JobsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs", abstract: "What became of the series that arrived.",
        subcommands: [List.self, Show.self, Retry.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List jobs, the newest first, with why any was not contoured.")
        @OptionGroup var settings: SettingsOptions
        @OptionGroup var form: FormOptions
        @Option(name: .customLong("state"), help: "Only jobs in this state; may be repeated.")
        var states: [JobState] = []
        @Option(help: "How many at most.") var limit = 100

        func run() throws {
            let jobs = try settings.store().jobs(states: Set(states.isEmpty ? JobState.allCases : states), limit: limit)
            if form.json { return try Terminal.print(json: jobs) }
            Terminal.print(["JOB", "STATE", "TRY", "IMAGES", "SENT", "WAITING", "CREATED", "SERIES", "REASON"], jobs.map {
                [String($0.id), $0.state.rawValue, "\($0.attempts)/\($0.maximumAttempts)", String($0.instances), String($0.sent),
                 String($0.pending), $0.created.formatted(.iso8601), $0.seriesInstanceUID, $0.reason ?? ""]
            })
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one job: why its series counts as complete, its structures, objects and deliveries.")
        @OptionGroup var settings: SettingsOptions
        @OptionGroup var form: FormOptions
        @Argument(help: "The job's number.") var job: Int64

        /// A job as `--json` prints it: what the worker reported as JSON, not as a string of it.
        private struct Shown: Encodable {
            let summary: JobSummary
            let evidence: CompletionEvidence?
            let selection: SelectionRecord?
            let report: JobReport?
            let deliveries: [JobDetail.Delivery]
            let results: [NewResult]
        }

        func run() throws {
            let detail = try settings.store().job(job)
            let report = try detail.report.map { try JSONDecoder().decode(JobReport.self, from: Data($0.utf8)) }
            let selection = try detail.selection.map { try JSONDecoder().decode(SelectionRecord.self, from: Data($0.utf8)) }
            let evidence = try detail.evidence.map { try CompletionEvidence(json: $0) }
            if form.json {
                return try Terminal.print(json: Shown(
                    summary: detail.summary, evidence: evidence, selection: selection, report: report, deliveries: detail.deliveries, results: detail.results))
            }
            let summary = detail.summary
            print("job \(summary.id) \(summary.state.rawValue), attempt \(summary.attempts) of \(summary.maximumAttempts)")
            print("series \(summary.seriesInstanceUID), \(summary.instances) images")
            if let evidence { print("complete: \(evidence.sentence)") }
            if let supersedes = summary.supersedes { print("supersedes: job \(supersedes)") }
            if let selection, selection.reason != summary.reason { print("selection: \(selection.reason)") }
            if let reason = summary.reason { print("reason: \(reason)") }
            if let report { Terminal.print(report) }
            Terminal.print(["DESTINATION", "OBJECT", "FILES", "STATE", "TRIES", "NOTE"], Self.lines(detail.deliveries))
        }

        /// A line for each object of each destination: a series of captures is one while its files fare alike.
        private static func lines(_ deliveries: [JobDetail.Delivery]) -> [[String]] {
            var lines: [(line: [String], files: Int)] = []
            for delivery in deliveries {
                let line = [delivery.destination, delivery.name, delivery.state.rawValue, String(delivery.attempts), delivery.note ?? ""]
                if lines.last?.line == line { lines[lines.count - 1].files += 1 } else { lines.append((line, 1)) }
            }
            return lines.map { $0.line[..<2] + [String($0.files)] + $0.line[2...] }
        }
    }

    struct Retry: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run an ended job again, or send again what a destination did not take.")
        @OptionGroup var settings: SettingsOptions
        @Argument(help: "The job's number.") var job: Int64

        func run() throws {
            try settings.store().retry(job: job, at: Date())
            print("Job \(job) waits again.")
        }
    }
}

extension JobState: ExpressibleByArgument {}
