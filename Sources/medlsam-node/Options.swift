import ArgumentParser
import Foundation
import ModelRuntime
import Node
import NodeConfiguration
import NodeStore

/// Where the node's settings are.
struct SettingsOptions: ParsableArguments {
    @Option(name: [.customShort("c"), .customLong("config")], help: "The node's settings.")
    var path = "Config/node.yaml"

    func configuration() throws -> Configuration { try Configuration.load(path) }

    /// The database of the node with these settings, whether it runs or not.
    func store() throws -> Store {
        let folder = try configuration().dataDirectory
        guard FileManager.default.fileExists(atPath: folder.appending(path: "node.sqlite").path) else {
            throw CommandFailure(.noInput, "No node has run in \(folder.path) yet.")
        }
        return try Store(folder: folder)
    }

    func models() throws -> ModelLibrary {
        ModelLibrary(folders: ModelFolders(try configuration().models))
    }

    func templates() throws -> TemplateLibrary { TemplateLibrary(folder: try configuration().models.templates) }
}

/// How results are printed.
struct FormOptions: ParsableArguments {
    @Flag(help: "Print JSON for a script.") var json = false
}
