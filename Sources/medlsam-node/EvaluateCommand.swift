import ArgumentParser
import Foundation
import MedLSAM
import Node
import NodeConfiguration

struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Judge contouring on patients whose contours a clinic drew.",
        discussion: """
            Each folder in --cases holds a CT series and its RT Structure Set. Writes evaluation.json and index.html into the report's folder, where \
            finished cases are kept, so that a later run goes on. Ends with 1 when some cases could not be judged. docs/how-to/evaluate.md explains it.
            """)
    @OptionGroup var settings: SettingsOptions
    @Option(help: "A folder with a folder for each patient.") var cases: String
    @Option(help: "A folder with patients to draw supports from (default: the cases; those drawn are not judged in that draw).") var supportCases: String?
    @Option(help: "Supports a draw.") var supports = 5
    @Option(help: "Draws, by their seeds.", transform: seedList) var seeds = [0, 1, 2]
    @Option(help: "Judge this installed template set instead of draws.") var templateSet: String?
    @Option(help: "LOCALISER+SEGMENTER, separated by commas (default: the shipped one). Localisers: \(words(LocaliserChoice.self)); segmenters: \(words(SegmenterChoice.self)).",
            transform: methodList)
    var methods = [ContouringMethod()]
    @Option(help: "A JSON file with the structures of the draws' template sets, as `template show --json` prints them (default: the seven of head-neck).")
    var structures: String?
    @Option(help: "A table with the clinic's other names (`from`) for structures (`name`): YAML, JSON or CSV, as for `convert --structures`.") var names: String?
    @Option(name: .shortAndLong, help: "The folder for the report; it is made.") var report: String
    @Option(help: "Cases at once.") var jobs = 1
    @Option(help: "Threads a case; 0 shares the processor's cores among the jobs.") var threads = 0

    func validate() throws {
        guard supports > 0, jobs > 0, threads >= 0 else { throw ValidationError("--supports and --jobs are at least 1, --threads at least 0.") }
    }

    func run() throws {
        let configuration = try settings.configuration(), folders = EvaluationPlan.folders(in: URL(fileURLWithPath: cases))
        guard !folders.isEmpty else { throw CommandFailure(.noInput, "\(cases) holds no folder.") }
        let pool = supportCases.map { EvaluationPlan.folders(in: URL(fileURLWithPath: $0)) } ?? folders
        let structures = try templateSet.map { try settings.templates().load($0).structures } ?? self.structures.map {
            try JSONDecoder().decode([StructureDefinition].self, from: Data(contentsOf: URL(fileURLWithPath: $0)))
        } ?? StructureDefinition.headNeck
        let plan = EvaluationPlan(
            cases: folders, supports: templateSet.map { .installed($0) } ?? .drawn(from: pool, count: supports, seeds: seeds), methods: methods,
            structures: structures,
            names: try names.map { try StructureTable.load($0) }, specifications: ResultsOptions.specifications(Configuration.Results(.generic)),
            jobs: jobs, threads: threads > 0 ? threads : max(1, ProcessInfo.processInfo.activeProcessorCount / jobs), output: URL(fileURLWithPath: report))
        do { try FileManager.default.createDirectory(at: plan.output, withIntermediateDirectories: true) } catch {
            throw CommandFailure(.cannotCreate, "\(report) cannot be made: \(error.localizedDescription)")
        }
        let evaluation = Evaluation(plan, folders: ModelFolders(configuration.models), deviceSerialNumber: configuration.aeTitle.string)
        let result = try evaluation.run { Terminal.complain($0) }
        try evaluation.write(result)
        Terminal.print(result)
        print("\(report)/evaluation.json\n\(report)/index.html")
        guard !result.scores.isEmpty else { throw CommandFailure(.unusableInput, "No case could be judged.") }
        if !result.failures.isEmpty { throw CommandFailure(.findings, "\(Set(result.failures.map(\.caseName)).count) cases could not be judged or used in full; the report names them.") }
    }
}

private func words<T: CaseIterable & RawRepresentable>(_ type: T.Type) -> String where T.RawValue == String { T.allCases.map(\.rawValue).joined(separator: ", ") }

private func seedList(_ text: String) throws -> [Int] {
    let seeds = text.split(separator: ",").compactMap { Int($0) }
    guard !seeds.isEmpty, seeds.count == text.split(separator: ",").count, seeds.allSatisfy({ $0 >= 0 }), Set(seeds).count == seeds.count else {
        throw ValidationError("\(text) is no list of seeds such as 0,1,2.")
    }
    return seeds
}

private func methodList(_ text: String) throws -> [ContouringMethod] {
    let methods = try text.split(separator: ",").map { word in
        guard let method = ContouringMethod(name: String(word)) else {
            throw ValidationError("\(word) is no method: one of \(words(LocaliserChoice.self)), then +, then one of \(words(SegmenterChoice.self)).")
        }
        return method
    }
    guard !methods.isEmpty, Set(methods).count == methods.count else { throw ValidationError("\(text) must name methods, each once.") }
    return methods
}

extension Terminal {
    /// Prints the table of an evaluation: means over the draws.
    static func print(_ report: EvaluationReport) {
        func percent(_ share: Double?) -> String { share.map { String(format: "%.1f", $0 * 100) } ?? "-" }
        func decimal(_ value: Double?) -> String { value.map { String(format: "%.1f", $0) } ?? "-" }
        print(["STRUCTURE", "METHOD", "CASES", "IOU/%", "WD/MM", "DICE/%", "HD95/MM", "SDICE/%", "MASK IOU/%", "WD/MM", "GIVEN OUT", "DICE/%", "WITHHELD", "RIGHTLY", "NOT IN VIEW"], report.rows.map { row in
            let mean = row.mean
            return [row.structure + (row.extent == .contouredSlices ? " (contoured)" : ""), row.method, decimal(mean.cases), percent(mean.boxIoU), decimal(mean.boxWallDistanceMM),
                    percent(mean.made.dice), decimal(mean.made.hd95MM), percent(mean.made.surfaceDice), percent(mean.made.boxIoU),
                    decimal(mean.made.boxWallDistanceMM), decimal(mean.givenOut.masks), percent(mean.givenOut.dice),
                    decimal(mean.withheld), decimal(mean.rightlyWithheld), decimal(mean.notInFieldOfView)]
        })
        for cost in report.costs {
            Swift.print("\(cost.method): localising \(decimal(cost.localisingSeconds)) s, segmenting \(decimal(cost.segmentingSeconds)) s, in all \(decimal(cost.totalSeconds)) s a case; "
                + "peak memory \(cost.peakMemoryMegabytes) MB")
        }
        for one in report.confidences where one.structure == nil {
            Swift.print("\(one.method): withheld \(one.poorWithheld) of \(one.poor) masks of Dice under 0.5, \(one.goodWithheld) of \(one.good) over 0.75")
        }
        for failure in report.failures { complain("\(failure.caseName)\(failure.method.map { ", \($0)" } ?? ""): \(failure.reason)") }
    }
}
