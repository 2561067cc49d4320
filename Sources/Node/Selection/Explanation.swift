import DICOMCore
import DICOMImaging
import Foundation
import NodeConfiguration

/// What the node would make of each series in a folder, and why. Holds UIDs, rule names and numbers; texts of the headers only when asked.
public struct Explanation: Sendable, Codable {
    /// What becomes of a series.
    public enum Verdict: String, Sendable, Codable { case contoured, notSelected, passedOver, refused }

    public struct Series: Sendable, Codable {
        public let seriesInstanceUID, studyInstanceUID: String
        public var verdict: Verdict
        /// Why, a sentence.
        public var reason: String
        /// The rule that matches, and the template set it names.
        public var rule, templateSet: String?
        public let instances: Int
        /// The volume that contouring sees; nil where none can be made.
        public var volume: VolumeSummary?
        /// What of the series is left out of the volume, a sentence each.
        public var leftOut: [String]
        /// What rules can ask for, as the slices state it; only when asked, for descriptions may hold names.
        public var values: [String: String]?
    }

    public let series: [Series]
    /// Files that bear the DICOM prefix and cannot be read: name and reason.
    public let unreadable: [String]

    /// What a person should look at: nothing to contour, or something refused or unreadable; nil when all is well.
    public var finding: String? {
        let refused = series.count { $0.verdict == .refused }
        if refused > 0 || !unreadable.isEmpty { return "\(refused) series refused, \(unreadable.count) files unreadable." }
        return series.contains { $0.verdict == .contoured } ? nil : "Nothing would be contoured."
    }

    /// Reads everything, pixels too, on all cores; blocks. With `values`, tells what the headers say.
    public init(_ paths: [String], selection: Configuration.Selection, values: Bool = false) {
        let listing = FolderSeries.group(paths)
        unreadable = listing.unreadable.map { "\($0.name): \($0.reason)" }
        var entries = listing.series.map { Self.explain($0, selection, values: values) }
        Self.choose(&entries)
        series = entries.map(\.series)
    }

    private typealias Entry = (series: Series, contest: (name: String, candidate: Candidate)?)

    private static func explain(_ found: FolderSeries, _ selection: Configuration.Selection, values: Bool) -> Entry {
        let headers = found.instances.map(\.header)
        var series = Series(
            seriesInstanceUID: found.seriesInstanceUID.string, studyInstanceUID: found.studyInstanceUID.string, verdict: .notSelected, reason: "",
            rule: nil, templateSet: nil, instances: headers.count, volume: nil, leftOut: [], values: nil)
        guard found.holdsCT else {
            series.reason = Ingest.refusal(of: headers[0]) ?? ""
            return (series, nil)
        }
        let facts = SeriesFacts(headers), (rule, record) = selection.decide(facts)
        (series.rule, series.templateSet, series.reason) = (record.rule, record.templateSet, record.reason)
        if values { series.values = facts.described }
        do {
            let volume = try CTSeries.read(paths: found.paths)
            series.volume = VolumeSummary(volume)
            series.leftOut = volume.warnings
        } catch {
            if record.templateSet != nil { series.verdict = .refused }
            series.reason += " " + ((error as? ImagingError)?.message ?? "\(error)")
            return (series, nil)
        }
        guard let rule, let templateSet = rule.templateSet else { return (series, nil) }
        series.verdict = .contoured
        guard let best = rule.best else { return (series, nil) }
        let name = contestName(rule: rule, of: best.of, study: series.studyInstanceUID, facts: facts)
        return (series, (name, Candidate(rule: rule.name, templateSet: templateSet, best: best, facts: facts, gap: SliceStack.gap(in: headers))))
    }

    /// Passes over all but the best of each contest, as if all were complete at the same time.
    private static func choose(_ entries: inout [Entry]) {
        for name in Set(entries.compactMap(\.contest?.name)) {
            let rivals = entries.indices.filter { entries[$0].contest?.name == name }
            let candidates = rivals.map { entries[$0].contest!.candidate }
            let winner = best(of: candidates)!
            for (n, index) in rivals.enumerated() where n != winner {
                entries[index].series.verdict = .passedOver
                let gain = candidates[winner].advantage(over: candidates[n]) ?? "it is as good and comes first"
                entries[index].series.reason += " Series \(entries[rivals[winner]].series.seriesInstanceUID) is better: \(gain)."
            }
        }
    }
}

/// A volume in numbers.
public struct VolumeSummary: Sendable, Codable {
    /// Columns, rows and slices.
    public let size: [Int]
    /// Distance between neighbouring columns, rows and slices.
    public let spacingMM: [Double]
    /// The centre of the first voxel, and the directions of increasing column and row.
    public let originLPS, columnIndexDirection, rowIndexDirection: [Double]
    public let instances: Int
    /// Whether any slice was ever compressed with loss.
    public let isLossy: Bool
    public let smallestHU, largestHU: Int

    public init(_ series: CTSeries) {
        let geometry = series.volume.geometry
        func list<T>(_ v: SIMD3<T>) -> [T] { [v.x, v.y, v.z] }
        size = list(geometry.size)
        spacingMM = list(geometry.spacingMM)
        originLPS = list(geometry.originLPS)
        columnIndexDirection = list(geometry.columnIndexDirection)
        rowIndexDirection = list(geometry.rowIndexDirection)
        instances = series.instances.count
        isLossy = series.isLossy
        smallestHU = Int(series.volume.voxels.min() ?? 0)
        largestHU = Int(series.volume.voxels.max() ?? 0)
    }
}

extension SeriesFacts {
    /// Every value, by the name that rules know it by.
    var described: [String: String] {
        var all = Dictionary(uniqueKeysWithValues: texts.map { ($0.key.rawValue, $0.value.map { $0.joined(separator: ", ") }.sorted().joined(separator: "; ")) })
        all["imageType"] = imageTypes.map { $0.joined(separator: "\\") }.sorted().joined(separator: "; ")
        for (number, range) in numbers { all[number.rawValue] = range.brief }
        return all.filter { !$0.value.isEmpty }
    }
}
