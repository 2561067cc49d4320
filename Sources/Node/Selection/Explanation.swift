import DICOMCore
import DICOMImaging
import Foundation
import NodeConfiguration

/// What the node would make of each series in a folder, and why. Holds UIDs, rule names and numbers; texts of the headers only when asked.
public struct Explanation: Sendable, Codable {
    /// What becomes of a series.
    public enum Verdict: String, Sendable, Codable { case contoured, notSelected, passedOver, refused }

    /// Slices of a series that lie side by side.
    public struct Stack: Sendable, Codable {
        public let slices: Int
        /// The rule that matches it, and the template set it names.
        public let rule, templateSet: String?
        /// Why, a sentence.
        public let reason: String
        /// Whether this one decides what becomes of the series.
        public let isChosen: Bool
        /// What tells it from the others, and what rules can ask for, as the slices state it; only when asked, for descriptions may hold names.
        public let distinction: String?
        public let values: [String: String]?
    }

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
        /// The stacks among its slices, the one that is usually read first; none of what is no CT.
        public var stacks: [Stack]
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
            rule: nil, templateSet: nil, instances: headers.count, volume: nil, leftOut: [], stacks: [])
        guard found.holdsCT else {
            series.reason = Ingest.refusal(of: headers[0]) ?? ""
            return (series, nil)
        }
        let decision = selection.decide(headers), record = decision.record
        (series.rule, series.templateSet, series.reason) = (record.rule, record.templateSet, record.reason)
        series.stacks = decision.stacks.enumerated().map { number, stack in
            Stack(
                slices: stack.slices.count, rule: stack.record.rule, templateSet: stack.record.templateSet, reason: stack.record.reason,
                isChosen: number == decision.chosen, distinction: values ? stack.distinction : nil, values: values ? stack.facts.described : nil)
        }
        do {
            let wanted = decision.instances.map(Set.init)
            let volume = try CTSeries.read(found.instances.filter { wanted?.contains($0.header.sopInstanceUID.string) ?? true })
            series.volume = VolumeSummary(volume)
            series.leftOut = volume.warnings
        } catch {
            if record.templateSet != nil { series.verdict = .refused }
            series.reason += " " + error.message
            return (series, nil)
        }
        guard let rule = decision.rule, rule.templateSet != nil else { return (series, nil) }
        series.verdict = .contoured
        guard let best = rule.best else { return (series, nil) }
        let name = contestName(rule: rule, of: best.of, study: series.studyInstanceUID, facts: decision.stack.facts)
        return (series, (name, Candidate(decision, rule: rule, best: best, gap: SliceStack.gap(in: headers))))
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
        (smallestHU, largestHU) = series.volume.range
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
