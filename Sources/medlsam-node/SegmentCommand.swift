import ArgumentParser
import DICOMImaging
import Foundation
import MedLSAM
import Node
import NodeConfiguration

struct SegmentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "segment", abstract: "Contour the CT series of a folder, without a network.",
        discussion: "Writes SEG.dcm, RTSTRUCT.dcm or what else is asked for, overlay.png and report.json into the output folder.")
    @OptionGroup var settings: SettingsOptions
    @OptionGroup var form: FormOptions
    @OptionGroup var results: ResultsOptions
    @Argument(help: "A folder with one CT series; what is not CT in it is left out.") var input: String
    @Option(help: "What to look for.") var templateSet = "head-neck"
    @Option(help: "What finds structures; default: the settings' contouring.localiser.") var localiser: Configuration.Contouring.Localiser?
    @Option(help: "What makes masks of them; default: the settings' contouring.segmenter.") var segmenter: Configuration.Contouring.Segmenter?
    @Option(name: .shortAndLong, help: "The folder for the results; it is made.") var output: String
    @Option(help: "Threads; 0 is one a processor core.") var threads = 0

    func run() throws {
        var configuration = try settings.configuration()
        configuration.contouring.localiser = localiser ?? configuration.contouring.localiser
        configuration.contouring.segmenter = segmenter ?? configuration.contouring.segmenter
        let specifications = try results.specifications(configuration)
        let files = try dicomFiles(in: input)
        let engine = try MedLSAMEngine(
            templateSet: templateSet, method: ContouringMethod(configuration.contouring), folders: ModelFolders(configuration.models), threads: threads)
        let folder = URL(fileURLWithPath: output)
        do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
            throw CommandFailure(.cannotCreate, "\(output) cannot be made: \(error.localizedDescription)")
        }
        let job = ContouringJob(
            engine: engine, deviceSerialNumber: configuration.aeTitle.string, contentDate: results.contentDate?.date ?? Date(),
            timeZone: results.contentDate?.zone ?? .current, specifications: specifications)
        let report = try job.run(paths: files, output: folder) { stage, fraction in
            Terminal.progress("\(stage) \(Int(fraction * 100)) %")
        }
        Terminal.progress("")
        if form.json { return try Terminal.print(json: report) }
        Terminal.print(report)
        for file in report.objects.map(\.file) + ["overlay.png"] { print("\(output)/\(file)") }
    }
}

extension Configuration.Contouring.Localiser: ExpressibleByArgument {}
extension Configuration.Contouring.Segmenter: ExpressibleByArgument {}

/// The DICOM files under a folder; throws unless there are some.
func dicomFiles(in folder: String) throws -> [String] {
    let files = (try? CTSeries.dicomFiles(in: folder)) ?? []
    guard !files.isEmpty else { throw CommandFailure(.noInput, "\(folder) holds no DICOM file.") }
    return files
}

extension Terminal {
    /// Prints what contouring came to: the structures, and what each stage took.
    static func print(_ report: JobReport) {
        print(["STRUCTURE", "VOLUME/ML", "CONFIDENCE", "STATE"], report.structures.map { structure in
            [structure.name, structure.volumeMillilitres.map { String(format: "%.1f", $0) } ?? "-",
             structure.confidence.map { String(format: "%.2f", $0) } ?? "-",
             structure.state.text + (structure.isCutOff == true ? ", cut off by the field of view" : "") + (structure.reason.map { ": \($0)" } ?? "")]
        })
        let stages = report.stages.map { "\($0.name) \(String(format: "%.1f", $0.seconds)) s" }.joined(separator: ", ")
        Swift.print("\(stages); peak memory \(report.peakMemoryMegabytes) MB")
    }
}

extension JobReport.Structure.State {
    fileprivate var text: String {
        switch self {
        case .segmented: "segmented"
        case .notInFieldOfView: "not in field of view"
        case .withheld: "withheld"
        }
    }
}
