import ArgumentParser
import Foundation
import MedLSAM

struct TemplateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "template", abstract: "What the node can look for.", subcommands: [List.self, Show.self])

    /// A template set as `--json` prints it.
    private struct Line: Encodable {
        let name: String
        let version: Int
        let provenance, medlamDigest: String
        let structures: [StructureDefinition]

        init(_ set: TemplateSet) {
            name = set.name
            version = set.version
            provenance = set.provenance
            medlamDigest = set.medlamDigest
            structures = set.structures
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the template sets.")
        @OptionGroup var settings: SettingsOptions
        @OptionGroup var form: FormOptions

        func run() throws {
            let library = try settings.templates()
            let sets = try library.names().map(library.load)
            if form.json { return try Terminal.print(json: sets.map(Line.init)) }
            Terminal.print(["TEMPLATE SET", "VERSION", "MEDLAM WEIGHTS", "STRUCTURES"], sets.map {
                [$0.name, String($0.version), String($0.medlamDigest.prefix(12)), $0.structures.map(\.name).joined(separator: " ")]
            })
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one template set's structures and where it comes from.")
        @OptionGroup var settings: SettingsOptions
        @OptionGroup var form: FormOptions
        @Argument(help: "The template set's name.") var name: String

        func run() throws {
            let set = try settings.templates().load(name)
            if form.json { return try Terminal.print(json: Line(set)) }
            print("\(set.name) version \(set.version), made with MedLAM weights \(set.medlamDigest)")
            print(set.provenance)
            Terminal.print(["STRUCTURE", "CODE", "MEANING", "SIDE", "COLOUR"], set.structures.map {
                [$0.name, "\($0.type.scheme) \($0.type.value)", $0.type.meaning, $0.laterality?.meaning ?? "",
                 "\($0.color.x) \($0.color.y) \($0.color.z)"]
            })
        }
    }
}
