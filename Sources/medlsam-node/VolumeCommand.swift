import ArgumentParser
import DICOMImaging
import Foundation
import Node

struct VolumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "volume", abstract: "Read the volume that contouring sees of a CT series, and write it as NIfTI.",
        discussion: "Prints a line of JSON that says what was read and what was left out.")
    @Argument(help: "A folder with a CT series.") var input: String
    @Option(help: "The file to write, if any; compressed where it ends in .gz.") var nifti: String?
    @Option(help: "The Series Instance UID, where the folder holds several.") var series: String?

    /// What was read, for a script.
    private struct Line: Encodable {
        let file: String?
        let seriesInstanceUID: String
        let volume: VolumeSummary
        let warnings: [String]
    }

    func run() throws {
        let files = try dicomFiles(in: input)
        let found = FolderSeries.group(files).series.filter { found in series.map { $0 == found.seriesInstanceUID.string } ?? found.holdsCT }
        guard found.count <= 1 else {
            let uids = found.map(\.seriesInstanceUID.string).joined(separator: ", ")
            throw CommandFailure(.unusableInput, "\(input) holds several series; name one with --series: \(uids).")
        }
        if let series, found.isEmpty { throw CommandFailure(.noInput, "\(input) holds no series \(series).") }
        // Without any CT, the reader says best why.
        let read = try found.first.map { try CTSeries.read($0.instances) } ?? CTSeries.read(paths: files)
        if let nifti { try NIfTI.write(read.volume, to: nifti) }
        let line = Line(
            file: nifti, seriesInstanceUID: read.seriesInstanceUID.string, volume: VolumeSummary(read), warnings: read.warnings)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(line), as: UTF8.self))
    }
}
