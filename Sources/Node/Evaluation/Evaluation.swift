import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry
import MedLSAM
import ModelRuntime
import Synchronization

/// Judges the shipped pipeline on patients whose contours a clinic drew: from DICOM in to objects out.
public struct Evaluation: Sendable {
    /// Told of each finished step, in a line.
    public typealias Progress = @Sendable (String) -> Void

    let plan: EvaluationPlan
    private let library: ModelLibrary
    private let templates: TemplateLibrary
    private let networks: ContouringModels
    private let deviceSerialNumber: String
    private let failures = Failures()

    public init(_ plan: EvaluationPlan, folders: ModelFolders, deviceSerialNumber: String) {
        self.plan = plan
        library = ModelLibrary(folders: folders)
        templates = TemplateLibrary(folder: folders.templates)
        networks = ContouringModels(library, threads: plan.threads * plan.jobs)
        self.deviceSerialNumber = deviceSerialNumber
    }

    /// Judges every case of every draw by every method, and returns what that came to; blocks for hours.
    ///
    /// Each finished case is kept in the output folder, from where a later run takes it. A case that cannot be judged is reported and harms no
    /// other. Throws what no case can be judged without: networks, template sets, an output folder.
    public func run(progress: @escaping Progress = { _ in }) throws -> EvaluationReport {
        var scores: [CaseScore] = [], draws: [SupportDraw] = []
        switch plan.supports {
        case .installed(let name):
            draws = [try plan.installed(name, in: templates)]
            scores = try judge(draws[0], progress)
        case .drawn(let pool, let count, let seeds):
            for seed in seeds {
                let draw = try plan.draw(seed: seed, from: pool, count: count, models: networks)
                draw.passedOver.forEach(failures.add)
                progress("draw \(draw.name): supports \(draw.supports.joined(separator: ", "))")
                draws.append(draw)
                scores += try judge(draw, progress)
            }
        }
        return EvaluationReport(plan, draws, scores, failures.all)
    }

    /// Every case of a draw by every method.
    private func judge(_ draw: SupportDraw, _ progress: @escaping Progress) throws -> [CaseScore] {
        let methods = try plan.methods.map { method in
            let engine = try MedLSAMEngine(templates: draw.templates, method: method, library: library, networks: networks, threads: plan.threads)
            return Method(method: method, engine: engine, basis: digest(([softwareVersion, method.name, draw.basis] + engine.models.map(\.digest)).joined(separator: "\n")))
        }
        let isPool = if case .drawn(let pool, _, _) = plan.supports { Set(pool.map(\.path)) } else { Set<String>() }
        let cases = plan.cases.filter { !(isPool.contains($0.path) && draw.supports.contains($0.lastPathComponent)) }
        return try concurrentMap(cases, threads: plan.jobs) { folder in judge(folder, in: draw, by: methods, progress) }.flatMap { $0 }
    }

    private struct Method {
        let method: ContouringMethod
        let engine: MedLSAMEngine
        let basis: String
    }

    /// One case by every method; what fails is noted.
    private func judge(_ folder: URL, in draw: SupportDraw, by methods: [Method], _ progress: Progress) -> [CaseScore] {
        let name = folder.lastPathComponent
        var scores: [CaseScore] = [], read: ContouredCase?
        let memory = PlaceMemory()
        var localising: [LocaliserChoice: Double] = [:]
        for method in methods {
            let output = plan.folder(seed: draw.seed, method: method.method.name, caseName: name), file = output.appending(path: "score.json")
            if let text = try? String(contentsOf: file, encoding: .utf8), let score = try? NodeJSON.decode(CaseScore.self, from: text), score.basis == method.basis {
                scores.append(score)
                continue
            }
            do {
                if plan.jobs == 1 { forgetPeakMemory() }
                let one = try read ?? ContouredCase.read(folder, rename: plan.name)
                read = one
                let engine = WatchedEngine(method.engine, given: one.masks, memory: memory)
                let report = try contour(one, engine, into: output)
                var seconds = Dictionary(report.stages.map { ($0.name, $0.seconds) }, uniquingKeysWith: +)
                // What another method's localiser has found is not looked for again.
                localising[method.method.localiser] = max(localising[method.method.localiser] ?? 0, seconds["localising"] ?? 0)
                seconds["localising"] = localising[method.method.localiser]
                let score = try score(one, report, engine.outcomes, method, draw, seconds, output)
                try Data(NodeJSON.encode(score).utf8).write(to: file, options: .atomic)
                scores.append(score)
                progress("draw \(draw.name), \(method.method.name), \(name): \(Int(seconds.values.reduce(0, +).rounded())) s")
            } catch {
                failures.add(.init(caseName: name, seed: draw.seed, method: read == nil ? nil : method.method.name, reason: "\(error)"))
                progress("draw \(draw.name), \(method.method.name), \(name): not judged: \(error)")
                if read == nil { break }
            }
        }
        return scores
    }

    /// Runs the product's own job into an empty folder.
    private func contour(_ one: ContouredCase, _ engine: any ContouringEngine, into output: URL) throws -> JobReport {
        try? FileManager.default.removeItem(at: output)
        try FileManager.default.createDirectory(at: output, withIntermediateDirectories: true)
        let job = ContouringJob(engine: engine, deviceSerialNumber: deviceSerialNumber, specifications: plan.specifications)
        return try job.run(paths: one.paths, output: output)
    }

    private func score(_ one: ContouredCase, _ report: JobReport, _ outcomes: [StructureOutcome], _ method: Method, _ draw: SupportDraw,
                       _ seconds: [String: Double], _ output: URL) throws -> CaseScore {
        let given = try Self.givenOut(output, report, on: one.series)
        let drawn = outcomes.filter { one.masks[$0.definition.name] != nil }
        return CaseScore(
            basis: method.basis, caseName: one.name, seed: draw.seed, method: method.method.name, seriesInstanceUID: one.series.seriesInstanceUID.string,
            slices: one.series.frames.count,
            structures: drawn.flatMap { outcome in
                let name = outcome.definition.name
                return Comparison(outcome: outcome, givenOut: given[name], drawn: one.masks[name]!).scores()
            },
            notDrawn: outcomes.map(\.definition.name).filter { one.masks[$0] == nil }, seconds: seconds,
            peakMemoryMegabytes: report.peakMemoryMegabytes, warnings: one.warnings)
    }

    /// The masks of the SEG in a folder, as it is read back; none where none was written.
    static func givenOut(_ output: URL, _ report: JobReport, on series: CTSeries) throws -> [String: Mask] {
        guard let object = report.objects.first(where: { $0.kind == ResultKind.segmentation.rawValue }) else { return [:] }
        let masks = try SegmentationReader.masks(in: DataSet(contentsOf: output.appending(path: object.file).path), frameOfReferenceUID: series.frameOfReferenceUID)
        return Dictionary(zip(masks.structures.map { $0.name ?? "" }, try masks.placed(on: series).map(\.mask))) { first, _ in first }
    }
}

/// An engine that keeps what it found, withheld masks among it.
private final class WatchedEngine: ContouringEngine {
    private let engine: MedLSAMEngine
    private let given: [String: Mask]
    private let memory: PlaceMemory
    private let found = Mutex<[StructureOutcome]>([])

    init(_ engine: MedLSAMEngine, given: [String: Mask], memory: PlaceMemory) {
        (self.engine, self.given, self.memory) = (engine, given, memory)
    }

    var method: ContouringMethod { engine.method }
    var templateSet: String { engine.templateSet }
    var templateSetVersion: String { engine.templateSetVersion }
    var models: [ResultContext.Model] { engine.models }
    var outcomes: [StructureOutcome] { found.withLock { $0 } }

    func contour(_ volume: Volume, seed: UInt64, progress: @escaping @Sendable (ContouringStage, Double) -> Void) throws -> [StructureOutcome] {
        let outcomes = try engine.contourer.contour(volume, seed: seed, given: given, judgingWithheld: true, memory: memory, progress: progress)
        found.withLock { $0 = outcomes }
        return outcomes
    }
}

/// What could not be judged, from any thread.
private final class Failures: Sendable {
    private let noted = Mutex<[EvaluationReport.Failure]>([])

    func add(_ failure: EvaluationReport.Failure) { noted.withLock { if !$0.contains(failure) { $0.append(failure) } } }
    var all: [EvaluationReport.Failure] { noted.withLock { $0 }.sorted { ($0.caseName, $0.seed ?? -1, $0.method ?? "") < ($1.caseName, $1.seed ?? -1, $1.method ?? "") } }
}

/// Has the process's peak memory counted anew (proc(5), clear_refs); where that is not allowed it stays that of the whole process.
private func forgetPeakMemory() { try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs")) }
