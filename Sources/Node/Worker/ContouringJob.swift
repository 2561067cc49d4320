import Crypto
import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry
import MedLSAM
import Synchronization

/// The version of this software, as it stands in the objects it makes.
public let softwareVersion = "0.1.0"

/// A CT series in files becomes objects in files: the pipeline of the worker, of `segment` and of tests.
public struct ContouringJob: Sendable {
    /// What is going on, for a progress line: `reading`, MedLSAM's stages, `writing`; how much of it is done, 0 to 1.
    public typealias Progress = @Sendable (_ stage: String, _ fraction: Double) -> Void

    private let engine: any ContouringEngine
    private let deviceSerialNumber: String
    private let contentDate: Date
    private let timeZone: TimeZone
    private let specifications: [ResultSpecification]
    private let replaces: [ReplacedObject]

    /// `deviceSerialNumber` tells this installation from others, such as its AE title; `contentDate` is told in the source's zone, and in
    /// `timeZone` where it states none; `replaces` are the objects that the job's will replace.
    public init(
        engine: any ContouringEngine, deviceSerialNumber: String, contentDate: Date = Date(), timeZone: TimeZone = .current,
        specifications: [ResultSpecification], replaces: [ReplacedObject] = []
    ) {
        self.timeZone = timeZone
        self.specifications = specifications
        self.replaces = replaces
        self.engine = engine
        self.deviceSerialNumber = deviceSerialNumber
        self.contentDate = contentDate
    }

    /// Contours the series in `paths` and writes an object's file each for the specifications, `overlay.png` and `report.json` into the
    /// folder `output`; blocks for minutes.
    ///
    /// No DICOM object is written when no structure was segmented. Throws ImagingError for what cannot be a volume.
    public func run(paths: [String], output: URL, progress: @escaping Progress = { _, _ in }) throws -> JobReport {
        let clock = StageClock(progress)
        clock.enter("reading")
        let series = try CTSeries.read(paths: paths)
        let seed = SHA256.hash(data: Data(series.seriesInstanceUID.string.utf8)).prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let outcomes = try engine.contour(series.volume, seed: seed) { clock.enter($0.rawValue, at: $1) }
        clock.enter("writing")
        let contoured = try contoured(outcomes.map(ResultSegment.init), series)
        let objects = try write(contoured, to: output)
        var warnings = series.warnings
        do { try Data(SummaryWriter.png(contoured)).write(to: output.appending(path: "overlay.png")) } catch let error as ImagingError {
            // A picture for people: the objects are as good without it.
            warnings.append("overlay.png is missing: \(error.message)")
        }
        let stages = clock.stop()
        let report = JobReport(
            software: "medlsam-node \(softwareVersion)", seriesInstanceUID: series.seriesInstanceUID.string,
            studyInstanceUID: series.studyInstanceUID.string, slices: series.frames.count, isLossy: series.isLossy, warnings: warnings,
            templateSet: "\(engine.templateSet) \(engine.templateSetVersion)", method: engine.method,
            models: engine.models.map { "\($0.name) \($0.version) \($0.digest)" }, structures: try outcomes.map { try JobReport.Structure($0, series) },
            objects: objects, stages: stages, peakMemoryMegabytes: peakMemoryMegabytes())
        try Data(NodeJSON.encode(report).utf8).write(to: output.appending(path: "report.json"))
        return report
    }

    private func contoured(_ segments: [ResultSegment], _ series: CTSeries) throws -> ContouredSeries {
        let source = try DataSet(contentsOf: series.instances[0].path, stoppingBefore: .pixelData)
        let context = ResultContext(
            softwareVersion: softwareVersion, method: engine.method.words, models: engine.models, templateSet: engine.templateSet,
            templateSetVersion: engine.templateSetVersion, deviceSerialNumber: deviceSerialNumber, contentDate: contentDate,
            timeZone: timeZone, replaces: replaces)
        return try ContouredSeries(segments: segments, series: series, source: source, context: context)
    }

    private func write(_ contoured: ContouredSeries, to output: URL) throws -> [JobReport.Object] {
        guard contoured.segments.contains(where: { $0.state == .segmented }) else { return [] }
        var objects: [JobReport.Object] = [], files: Set<String> = []
        try contoured.makeObjects(specifications) { index, object in
            let specification = specifications[index], file = Self.file(for: specification, besides: &files)
            try object.write(to: output.appending(path: file).path)
            objects.append(JobReport.Object(
                kind: specification.kind.rawValue, name: specification.name, specification: index, sopClassUID: object.sopClassUID.string,
                sopInstanceUID: object.sopInstanceUID.string, file: file))
        }
        return objects
    }

    /// `SEG.dcm`, `SEG-LABELMAP.dcm`; with a number where another has that name, as those of a series do.
    static func file(for specification: ResultSpecification, besides taken: inout Set<String>) -> String {
        let stem = specification.name.replacing(" ", with: "-")
        let names = (1...).lazy.map { $0 == 1 ? "\(stem).dcm" : "\(stem)-\($0).dcm" }
        let file = names.first { !taken.contains($0) }!
        taken.insert(file)
        return file
    }
}

extension ResultSegment {
    /// MedLSAM's outcome in the words of DICOM.
    init(_ outcome: StructureOutcome) {
        let definition = outcome.definition
        let state: SegmentState =
            switch outcome.state {
            case .segmented: .segmented
            case .notInFieldOfView: .notInFieldOfView
            case .withheld(let reason): .withheld(reason: reason)
            }
        self.init(
            name: definition.name, category: CodedConcept(definition.category), type: CodedConcept(definition.type),
            laterality: definition.laterality.map { CodedConcept($0) }, anatomicRegion: definition.region.map { CodedConcept($0) }, color: definition.color, state: state, confidence: outcome.confidence, isCutOff: outcome.isCutOff,
            mask: outcome.mask, probabilities: outcome.probabilities)
    }
}

extension CodedConcept {
    init(_ code: Code) { self.init(value: code.value, scheme: code.scheme, meaning: code.meaning) }
}

extension StructureState {
    /// As reports say it, with the reason for withholding.
    var reported: (state: JobReport.Structure.State, reason: String?) {
        switch self {
        case .segmented: (.segmented, nil)
        case .notInFieldOfView: (.notInFieldOfView, nil)
        case .withheld(let reason): (.withheld, reason)
        }
    }
}

extension JobReport.Structure {
    /// Volumes are those of the source's own slices, each as thick as it stands for.
    init(_ outcome: StructureOutcome, _ series: CTSeries) throws {
        let (state, reason) = outcome.state.reported
        self.init(
            name: outcome.definition.name, state: state, reason: reason, confidence: outcome.confidence,
            evidence: Dictionary(uniqueKeysWithValues: outcome.evidence.map { ($0.key.rawValue, ($0.value * 1000).rounded() / 1000) }),
            isCutOff: outcome.isCutOff, volumeMillilitres: try outcome.mask.map { try series.sourceMask($0).volumeML })
    }
}

/// Measures the stages of a job and passes its progress on.
private final class StageClock: Sendable {
    private struct State {
        var running: (stage: String, since: ContinuousClock.Instant)?
        var ended: [JobReport.Stage] = []

        mutating func end() {
            guard let (stage, since) = running else { return }
            ended.append(JobReport.Stage(name: stage, seconds: (ContinuousClock.now - since) / .seconds(1)))
            running = nil
        }
    }
    private let progress: ContouringJob.Progress
    private let state = Mutex(State())

    init(_ progress: @escaping ContouringJob.Progress) { self.progress = progress }

    /// Tells of progress in a stage, which ends the one before.
    func enter(_ stage: String, at fraction: Double = 0) {
        state.withLock { state in
            guard state.running?.stage != stage else { return }
            state.end()
            state.running = (stage, .now)
        }
        progress(stage, fraction)
    }

    /// Ends the last stage; returns all, in order.
    func stop() -> [JobReport.Stage] {
        state.withLock { state in
            state.end()
            return state.ended
        }
    }
}

/// The most memory that this process has had.
private func peakMemoryMegabytes() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss / 1024  // kilobytes on Linux
}
