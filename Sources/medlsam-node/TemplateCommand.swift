import ArgumentParser
import Foundation
import MedLSAM
import Node

struct TemplateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "template", abstract: "What the node can look for.", subcommands: [List.self, Show.self, Build.self, Withhold.self])

    /// A template set as `--json` prints it.
    private struct Line: Encodable {
        let name: String
        let version: Int
        let provenance, medlamDigest: String
        let structures: [StructureDefinition]
        let leastConfidence: [String: Double]?

        init(_ set: TemplateSet) {
            name = set.name
            version = set.version
            provenance = set.provenance
            medlamDigest = set.medlamDigest
            structures = set.structures
            leastConfidence = set.leastConfidence
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
            Terminal.print(["STRUCTURE", "CODE", "MEANING", "SIDE", "COLOUR", "WITHHELD BELOW"], set.structures.map {
                [$0.name, "\($0.type.scheme) \($0.type.value)", $0.type.meaning, $0.laterality?.meaning ?? "",
                 "\($0.color.x) \($0.color.y) \($0.color.z)", set.leastConfidence?[$0.name].map { String($0) } ?? ""]
            })
        }
    }

    struct Build: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a template set from contoured patients.",
            discussion: "Each folder holds a CT series and its RT Structure Set, with the ROI names of the structures.")
        @OptionGroup var settings: SettingsOptions
        @Argument(help: "The template set's name.") var name: String
        @Argument(help: "A folder for each patient.") var cases: [String]
        @Option(help: "Where the patients come from and under which licence; shown with the set.") var provenance: String
        @Option(help: "Its version; count it up when you build it anew.") var version = 1
        @Option(help: "A JSON file with the structures to learn, as `template show --json` prints them (default: the seven of head-neck).")
        var structures: String?
        @Option(help: "A localiser besides medlam and template-box that the set shall serve, registration or medlam-published; may be repeated.")
        var localiser: [LocaliserChoice] = []
        @Option(help: "The MedLAM to make it with: medlam-hn or, once imported, medlam.") var medlam = ContouringNetwork.medlamHN
        @Option(name: .shortAndLong, help: "The folder to write NAME.json into (default: the settings' models.templates).")
        var output: String?

        func run() throws {
            let structures = try self.structures.map {
                try JSONDecoder().decode([StructureDefinition].self, from: Data(contentsOf: URL(fileURLWithPath: $0)))
            } ?? StructureDefinition.headNeck
            let cases = try self.cases.map { folder in
                _ = try dicomFiles(in: folder)
                let one = try ContouredCase.read(URL(fileURLWithPath: folder))
                print("\(folder): \(one.masks.keys.sorted().joined(separator: " "))")
                return (one.series.volume, one.masks)
            }
            let threads = ProcessInfo.processInfo.activeProcessorCount
            let set = try TemplateBuilder(models: ContouringModels(settings.models(), threads: threads), medlam: medlam)
                .build(name: name, version: version, provenance: provenance, structures: structures, cases: cases, localisers: Set(localiser))
            let file = try TemplateCommand.write(set, into: output.map { URL(fileURLWithPath: $0) } ?? settings.configuration().models.templates)
            print("\(file.path): \(structures.count) structures of \(cases.count) patients")
        }
    }

    struct Withhold: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say below which confidence a structure's masks are withheld.",
            discussion: "Writes the template set's next version. `evaluate` shows what a threshold would do to patients whose contours are known.")
        @OptionGroup var settings: SettingsOptions
        @Argument(help: "The template set's name.") var name: String
        @Argument(help: "STRUCTURE=CONFIDENCE, such as Larynx=0.7.") var thresholds: [String]

        func run() throws {
            let below = try thresholds.map { word in
                let parts = word.split(separator: "=")
                guard parts.count == 2, let confidence = Double(parts[1]) else { throw ValidationError("\(word) is not STRUCTURE=CONFIDENCE.") }
                return (String(parts[0]), confidence)
            }
            let set = try settings.templates().load(name).withholding(below: Dictionary(below) { $1 })
            print("\(try TemplateCommand.write(set, into: settings.configuration().models.templates).path): version \(set.version)")
        }
    }

    /// Writes a template set's file, whole or not at all.
    private static func write(_ set: TemplateSet, into folder: URL) throws -> URL {
        let file = folder.appending(path: "\(set.name).json")
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try set.encoded().write(to: file, options: .atomic)
        } catch { throw CommandFailure(.cannotCreate, "\(file.path) cannot be written: \(error.localizedDescription)") }
        return file
    }
}

extension LocaliserChoice: ExpressibleByArgument {}
extension ContouringNetwork: ExpressibleByArgument {}
