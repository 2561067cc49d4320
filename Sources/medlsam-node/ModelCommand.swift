import ArgumentParser
import Foundation
import ModelRuntime

struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "The networks and their weights.",
        subcommands: [List.self, Verify.self, Import.self])

    /// A model in one line, as `--json` prints it.
    private struct Line: Encodable {
        let name, version, licence, state: String
        let digest: String?
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the models, each checked by digest.")
        @OptionGroup var settings: SettingsOptions
        @OptionGroup var form: FormOptions

        func run() throws {
            let models = try settings.models().list().map {
                Line(name: $0.manifest.name, version: $0.manifest.version, licence: $0.manifest.licence,
                     state: $0.state.text, digest: $0.digest)
            }
            if form.json { return try Terminal.print(json: models) }
            Terminal.print(["MODEL", "VERSION", "LICENCE", "DIGEST", "STATE"], models.map {
                [$0.name, $0.version, $0.licence, String($0.digest?.prefix(12) ?? "-"), $0.state]
            })
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Check a model's files by digest.")
        @OptionGroup var settings: SettingsOptions
        @Argument(help: "The model's name.") var name: String

        func run() throws {
            print("\(name) is whole, sha256 \(try settings.models().verify(name))")
        }
    }

    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a published checkpoint (.pth) a model's weights.",
            discussion: "Nothing in the file is executed; whatever is not the network's tensors is refused.")
        @OptionGroup var settings: SettingsOptions
        @Argument(help: "The model's name.") var name: String
        @Argument(help: "The checkpoint; without it, the one that is shipped with the model.") var checkpoint: String?
        @Flag(help: "Do nothing when the model is whole already.") var ifNeeded = false

        func run() throws {
            let models = try settings.models()
            if ifNeeded, (try? models.verify(name)) != nil { return print("\(name) is whole.") }
            guard let file = try checkpoint.map({ URL(fileURLWithPath: $0) }) ?? models.shippedCheckpoint(of: name) else {
                throw CommandFailure(.noInput, "No checkpoint is shipped with \(name): name the file.")
            }
            try models.importCheckpoint(at: file, as: name)
            print("\(name) imported, sha256 \(try models.verify(name))")
        }
    }
}

extension ModelStatus.State {
    /// One or a few words for a table.
    var text: String {
        switch self {
        case .installed: "installed"
        case .notInstalled: "not installed"
        case .outdated(let reason): "outdated: \(reason)"
        case .damaged(let reason): "damaged: \(reason)"
        }
    }
}
