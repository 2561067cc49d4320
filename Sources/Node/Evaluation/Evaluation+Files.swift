import DICOMImaging
import Foundation
import ImagingGeometry

extension Evaluation {
    /// How many of each structure's worst masks are shown.
    private static let worstCases = 2
    private static let clinician = SIMD3<UInt8>(0, 230, 118), node = SIMD3<UInt8>(255, 61, 0)

    /// Writes `evaluation.json` and `index.html` into the output folder.
    public func write(_ report: EvaluationReport) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try FileManager.default.createDirectory(at: plan.output, withIntermediateDirectories: true)
        try encoder.encode(report).write(to: plan.output.appending(path: "evaluation.json"), options: .atomic)
        let page = EvaluationPage(report: report, pictures: pictures(report))
        try Data(page.html().utf8).write(to: plan.output.appending(path: "index.html"), options: .atomic)
    }

    /// The worst masks given out by the first method, of each structure.
    private func pictures(_ report: EvaluationReport) -> [EvaluationPage.Picture] {
        let scores = report.scores.filter { $0.method == report.methods.first }
        let names = report.rows.map(\.structure).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        let worst = names.flatMap { name in
            scores.compactMap { score in
                score.structures.first { $0.name == name && $0.extent == .whole && $0.state == .segmented && $0.mask != nil }.map { (score, $0) }
            }.sorted { $0.1.mask!.dice < $1.1.mask!.dice }.prefix(Self.worstCases)
        }
        return worst.compactMap { score, structure in
            guard let folder = plan.cases.first(where: { $0.lastPathComponent == score.caseName }) else { return nil }
            let draw = score.seed.map { ", seed \($0)" } ?? ""
            let caption = "\(structure.name), \(score.caseName)\(draw): Dice \(EvaluationPage.percent(structure.mask?.dice)) %, HD95 \(EvaluationPage.decimal(structure.mask?.hd95MM)) mm, "
                + "confidence \(structure.confidence.map { Plot.number($0) } ?? "-")"
            // A picture for people: the figures are as good without it.
            do { return .init(caption: caption, png: try picture(of: structure, score, folder)) } catch { return .init(caption: "\(caption); no picture: \(error)", png: nil) }
        }
    }

    private func picture(of structure: StructureScore, _ score: CaseScore, _ folder: URL) throws -> [UInt8]? {
        let output = plan.folder(seed: score.seed, method: score.method, caseName: score.caseName)
        let report = try NodeJSON.decode(JobReport.self, from: String(contentsOf: output.appending(path: "report.json"), encoding: .utf8))
        let one = try ContouredCase.read(folder, rename: plan.name)
        guard let drawn = one.masks[structure.name], let found = try Self.givenOut(output, report, on: one.series)[structure.name] else { return nil }
        return try ComparisonPicture.png(one.series.volume, [(drawn, Self.clinician), (found, Self.node)])
    }
}
