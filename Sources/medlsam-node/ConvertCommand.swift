import ArgumentParser
import DICOMImaging
import Foundation
import Node
import NodeConfiguration

struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert", abstract: "Make DICOM objects of masks that somebody else made, or NIfTI files of objects.",
        discussion: """
            Masks are NIfTI files (labels, a file a structure, probabilities), a SEG or an RTSTRUCT; they are put on the CT's slices pixel \
            for pixel. Objects name who made the masks, never MedLSAM. docs/how-to/convert.md has examples.
            """)
    @OptionGroup var settings: OptionalSettings
    @OptionGroup var form: FormOptions
    @Argument(help: "The file of masks: .nii, .nii.gz, or a DICOM SEG or RTSTRUCT; several NIfTI files are a structure each.") var masks: [String]
    @Option(name: .customLong("ct"), help: "A folder with the CT series that the masks were made on.") var scan: String
    @Option(help: "The Series Instance UID, where the folder holds several and the masks do not say which.") var series: String?
    @Option(name: .shortAndLong, help: "The folder for the results; it is made.") var output: String
    @OptionGroup var results: ResultsOptions
    @Option(name: .customLong("seg-form"), help: "How a SEG is written: binary, labelmap or fractional (default: the profile's).", transform: word)
    var segmentationForm: SegmentationOptions.Form?
    @Option(help: "How an RTSTRUCT tells holes: keyhole, xor, separate or ignore (default: the profile's).", transform: word) var holes: StructureSetOptions.Holes?
    @Option(help: "Write NIfTI files on the CT's grid: labels (one file), masks or probabilities (a file a structure).", transform: word) var nifti: ConversionJob.NIfTIForm?
    @Option(help: "A table of the structures' names, codes and colours: YAML, JSON or CSV.") var structures: String?
    @Option(help: "Who or what made the masks, such as \"TotalSegmentator 2.4\", where neither they nor the table say.") var madeBy: String?
    @Option(help: "How they were made: automatic, semiautomatic or manual.", transform: word) var method: StructureTable.Method?
    @Flag(help: "Interpolate masks that are not on the CT's grid onto it.") var resample = false

    func run() throws {
        let files = try ctFiles(in: scan, series: series)
        let configuration = try settings.configuration()
        var job = ConversionJob(masks: masks, scan: files, deviceSerialNumber: configuration?.aeTitle.string ?? "MEDLSAM")
        if let structures { job.table = try StructureTable.load(structures) }
        (job.madeBy, job.method, job.resampling) = (madeBy, method, resample)
        job.specifications = try specifications(configuration)
        if let moment = results.contentDate { (job.contentDate, job.timeZone) = (moment.date, moment.zone) }
        job.nifti = nifti
        let report = try job.run(output: URL(fileURLWithPath: output))
        if form.json { return try Terminal.print(json: report) }
        for warning in report.warnings { Terminal.complain(warning) }
        Terminal.print(["STRUCTURE", "FROM", "VOLUME/ML"], report.structures.map { structure in
            [structure.name, "\(structure.number)" + (structure.from.map { " \($0)" } ?? ""),
             structure.volumeMillilitres.map { String(format: "%.1f", $0) } ?? structure.absence ?? ""]
        })
        for file in report.files { print("\(output)/\(file)") }
    }

    /// What is written by the profile or destination, and what overrides it; nothing where only NIfTI is asked for.
    private func specifications(_ configuration: Configuration?) throws -> [ResultSpecification] {
        if nifti != nil, results.profile == nil, results.destination == nil, results.objects == nil { return [] }
        var choices = try results.choices(configuration)
        if let segmentationForm { choices.segmentation.form = segmentationForm }
        if let holes { choices.structureSet.holes = holes }
        return ResultsOptions.specifications(choices)
    }
}

/// One of the words of an enumeration.
private func word<T: RawRepresentable & CaseIterable>(_ text: String) throws -> T where T.RawValue == String {
    guard let value = T(rawValue: text) else { throw ValidationError("\(text) is none of \(T.allCases.map(\.rawValue).joined(separator: ", ")).") }
    return value
}

/// Settings of a command that can do without.
struct OptionalSettings: ParsableArguments {
    @Option(name: [.customShort("c"), .customLong("config")], help: "The node's settings, whose AE title and destinations then count.")
    var path: String?

    func configuration() throws -> Configuration? { try path.map(Configuration.load) }
}

/// The files of the CT series of a folder: of the named one, or of the only one; of all where masks may tell which.
private func ctFiles(in folder: String, series: String?) throws -> [String] {
    let files = try dicomFiles(in: folder)
    guard let series else { return files }
    guard let found = FolderSeries.group(files).series.first(where: { $0.seriesInstanceUID.string == series }) else {
        throw CommandFailure(.noInput, "\(folder) holds no series \(series).")
    }
    return found.instances.map(\.path)
}
