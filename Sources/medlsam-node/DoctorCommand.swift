import ArgumentParser
import Node

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Look whether everything a node needs is there, and say what to do.",
        discussion: """
            Ends with status 1 when something keeps the node from its work, 78 when its settings are wrong. With --data it reads every file of \
            the data folder instead and holds it against its row; that writes nothing, and may be done while the node runs.
            """)
    @OptionGroup var settings: SettingsOptions
    @OptionGroup var form: FormOptions

    @Flag(help: "Check every stored file by digest.") var data = false

    func run() async throws {
        if data { return try checkData() }
        let checks = await Doctor.run(try settings.configuration())
        if form.json {
            try Terminal.print(json: checks)
        } else {
            for check in checks {
                print("\(check.state.rawValue.uppercased().padding(toLength: 8, withPad: " ", startingAt: 0)) \(check.name): \(check.message)")
                if let whatToDo = check.whatToDo { print("         \(whatToDo)") }
            }
        }
        let failures = checks.count { $0.state == .failure }
        guard failures == 0 else { throw CommandFailure(.findings, "\(failures) of \(checks.count) checks failed.") }
    }

    private func checkData() throws {
        let report = try StoreCheck(DataFolder(settings.configuration().dataDirectory)).run { Terminal.progress("\($0) rows") }
        if form.json {
            try Terminal.print(json: report)
        } else {
            for finding in report.findings {
                print("\(finding.problem.rawValue.padding(toLength: 12, withPad: " ", startingAt: 0)) \(finding.path)")
            }
            print(
                """
                \(report.instances) instances and \(report.results) results, \(report.bytes / 1_000_000) MB in \
                \(String(format: "%.1f s: %.0f MB/s", report.seconds, report.megabytesPerSecond))
                \(report.deleted) deleted by retention, \(report.lost) lost before, \(report.setAside) files put aside in unrecorded/
                """)
            if report.waiting > 0 { print("\(report.waiting) instances were received and wait to be recorded") }
        }
        guard report.findings.isEmpty else { throw CommandFailure(.findings, "\(report.findings.count) files are not as recorded.") }
    }
}
