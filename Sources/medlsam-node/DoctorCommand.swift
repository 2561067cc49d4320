import ArgumentParser
import Node

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Look whether everything a node needs is there, and say what to do.",
        discussion: "Ends with status 1 when something keeps the node from its work, 78 when its settings are wrong.")
    @OptionGroup var settings: SettingsOptions
    @OptionGroup var form: FormOptions

    func run() async throws {
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
}
