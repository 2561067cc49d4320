import ArgumentParser
import Foundation
import Node

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say what the node would make of each series in a folder, and why.",
        discussion: """
            Everything is read as for contouring, pixels too. The exit status is 0 when something would be contoured and nothing is \
            refused or unreadable, else 1.
            """)
    @OptionGroup var settings: SettingsOptions
    @OptionGroup var form: FormOptions
    @Argument(help: "A folder of DICOM files.") var input: String
    @Flag(help: "Show what the headers say to the rules; descriptions may hold names.") var values = false

    func run() throws {
        let selection = try settings.configuration().selection
        let explanation = Explanation(try dicomFiles(in: input), selection: selection, values: values)
        if form.json { try Terminal.print(json: explanation) } else { Terminal.print(explanation) }
        if let finding = explanation.finding { throw CommandFailure(.findings, finding) }
    }
}

extension Terminal {
    fileprivate static func print(_ explanation: Explanation) {
        for series in explanation.series {
            Swift.print("series \(series.seriesInstanceUID), \(series.instances) instances: \(series.verdict.text)")
            Swift.print("  \(series.reason)")
            if let volume = series.volume {
                let size = volume.size.map(String.init).joined(separator: " x ")
                let spacing = volume.spacingMM.map { "\(($0 * 1000).rounded() / 1000)" }.joined(separator: " x ")
                Swift.print("  volume: \(size) voxels of \(spacing) mm, \(volume.instances) instances\(volume.isLossy ? ", compressed with loss" : "")")
            }
            for sentence in series.leftOut { Swift.print("  \(sentence)") }
            for (number, stack) in series.stacks.enumerated() where series.stacks.count > 1 || stack.values != nil {
                let distinction = stack.distinction.map { $0.isEmpty ? "" : " (\($0))" } ?? ""
                Swift.print("  stack \(number + 1)\(stack.isChosen ? ", which decides" : ""): \(stack.slices) slices\(distinction). \(stack.reason)")
                for (name, value) in (stack.values ?? [:]).sorted(by: { $0.key < $1.key }) { Swift.print("    \(name): \(value)") }
            }
        }
        for file in explanation.unreadable { Swift.print("unreadable: \(file)") }
    }
}

extension Explanation.Verdict {
    fileprivate var text: String {
        switch self {
        case .contoured: "would be contoured"
        case .notSelected: "not selected"
        case .passedOver: "passed over for a better one"
        case .refused: "selected, and refused"
        }
    }
}
