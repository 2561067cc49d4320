import Foundation
import NodeTesting
import Testing
@testable import medlsam_node

/// What the command says, and what it tells the shell.
@Suite struct CommandTests {
    private let folder: URL
    private let node: NodeUnderTest

    init() throws {
        folder = try Places.temporaryFolder("command")
        node = try NodeUnderTest(in: folder, models: false)
    }

    @Test func everyExitStatusStandsInTheReference() throws {
        let page = try String(contentsOf: Places.repository.appending(path: "docs/reference/errors.md"), encoding: .utf8)
        for status in ExitStatus.allCases { #expect(page.contains("| \(status.rawValue) | \(status) |")) }
    }

    @Test func everySubcommandStandsInTheReference() throws {
        let page = try String(contentsOf: Places.repository.appending(path: "docs/reference/command-line.md"), encoding: .utf8)
        for command in MedLSAMNode.configuration.subcommands {
            #expect(page.contains("`\(command.configuration.commandName!)") || page.contains("medlsam-node \(command.configuration.commandName!)`"))
        }
    }

    @Test func wrongSettingsAreAllNamedWithTheirPaths() throws {
        try "aeTitle: THIS-TITLE-IS-TOO-LONG\nport: 70000\ncolour: red\n".write(toFile: node.settings, atomically: true, encoding: .utf8)
        let result = try node.command("jobs", "list")
        #expect(result.status == ExitStatus.configuration.rawValue)
        for path in ["aeTitle", "port", "colour", "dataDirectory", "models.manifests"] { #expect(result.output.contains(path)) }
    }

    @Test func aNodeThatNeverRanHasNoJobsAndGetsNoDatabase() throws {
        #expect(try node.command("jobs", "list").status == ExitStatus.noInput.rawValue)
        #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "data").path))
    }

    @Test func aPeerThatIsNotThereIsUnavailable() throws {
        let result = try runTool(program("medlsam-node"), ["echo", "127.0.0.1", "\(try freePort())", "--call", "NOBODY"])
        #expect(result.status == ExitStatus.unavailable.rawValue)
        #expect(result.output.contains("NOBODY"))
    }

    @Test func echoAndSendReachDCMTKsArchive() async throws {
        let archive = try await Dcmqrscp.start(in: folder)
        let scan = folder.appending(path: "ct").path
        try Phantom.headCT(into: folder.appending(path: "ct"), slices: 6)
        try "no DICOM".write(toFile: scan + "/note.txt", atomically: true, encoding: .utf8)
        let peer = ["127.0.0.1", "\(archive.port)", "-aec", archive.aeTitle, "-aet", "TEST"]
        #expect(try runTool(program("medlsam-node"), ["echo"] + peer).status == 0)
        let sent = try runTool(program("medlsam-node"), ["send"] + peer + [scan])
        #expect(sent.status == ExitStatus.unavailable.rawValue)
        #expect(sent.output.contains("6 of 7 stored") && sent.output.contains("note.txt"), "\(sent.output)")
        #expect(archive.files.count == 6)
    }

    @Test func aFolderWithoutDICOMIsNoInputForSegment() throws {
        let result = try node.command("segment", folder.path, "--output", folder.appending(path: "out").path)
        #expect(result.status == ExitStatus.noInput.rawValue)
        #expect(result.output.contains("no DICOM file"))
    }

    @Test func aSeriesThatIsNoVolumeIsUnusableInputForSegment() throws {
        try Phantom.headCT(into: folder.appending(path: "ct"), slices: 2)
        let node = try NodeUnderTest(in: folder, models: true)
        let result = try node.command("segment", folder.appending(path: "ct").path, "--output", folder.appending(path: "out").path)
        #expect(result.status == ExitStatus.unusableInput.rawValue)
        #expect(result.output.contains("2 slices"), "\(result.output)")
    }

    @Test func aWrongCommandLineIsUsageAndHelpIsSuccess() throws {
        #expect(try runTool(program("medlsam-node"), ["segment"]).status == ExitStatus.usage.rawValue)
        #expect(try runTool(program("medlsam-node"), ["echo", "127.0.0.1", "104", "--call", "MORE THAN 16 CHARACTERS"]).status == ExitStatus.usage.rawValue)
        #expect(try runTool(program("medlsam-node"), ["serve", "--help"]).status == ExitStatus.success.rawValue)
    }

    @Test func withoutWeightsSegmentSaysWhatToDo() throws {
        let scan = folder.appending(path: "ct").path
        try Phantom.headCT(into: folder.appending(path: "ct"), slices: 6)
        let result = try node.command("segment", scan, "--output", folder.appending(path: "out").path)
        #expect(result.status == ExitStatus.unavailable.rawValue)
        #expect(result.output.contains("no weights"), "\(result.output)")
    }

    @Test func modelsAreListedForAScript() throws {
        struct Line: Decodable { let name, licence, state: String }
        let lines = try JSONDecoder().decode([Line].self, from: Data(node.command("model", "list", "--json").output.utf8))
        #expect(lines.map(\.name) == ["lite-medsam", "medlam", "medlam-hn", "medsam-vit-b", "sam-vit-b", "segmenter-hn"])
        #expect(lines.allSatisfy { $0.state == "not installed" && !$0.licence.isEmpty })
    }

    @Test func aThresholdOfATemplateSetIsSetAndShown() throws {
        let shipped = Places.repository.appending(path: "Models/templates"), own = folder.appending(path: "templates")
        try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
        try FileManager.default.copyItem(at: shipped.appending(path: "head-neck.json"), to: own.appending(path: "head-neck.json"))
        try String(contentsOfFile: node.settings, encoding: .utf8).replacing(shipped.path, with: own.path).write(toFile: node.settings, atomically: true, encoding: .utf8)
        struct Line: Decodable { let version: Int, leastConfidence: [String: Double] }
        func shown() throws -> Line { try JSONDecoder().decode(Line.self, from: Data(node.command("template", "show", "head-neck", "--json").output.utf8)) }
        let before = try shown()
        #expect(try node.command("template", "withhold", "head-neck", "Larynx=0.9").status == 0)
        let after = try shown()
        #expect(after.version == before.version + 1 && after.leastConfidence == before.leastConfidence.merging(["Larynx": 0.9]) { $1 })
        for wrong in ["Larynx", "Larynx=often", "Larynx=2", "Heart=0.5"] {
            #expect(try node.command("template", "withhold", "head-neck", wrong).status != 0, "\(wrong)")
        }
        #expect(try shown().version == after.version)
    }

    @Test func aFileThatIsNoCheckpointIsRefused() throws {
        let file = folder.appending(path: "weights.pth").path
        try "no checkpoint".write(toFile: file, atomically: true, encoding: .utf8)
        let result = try node.command("model", "import", "lite-medsam", file)
        #expect(result.status == ExitStatus.unusableInput.rawValue)
    }
}
