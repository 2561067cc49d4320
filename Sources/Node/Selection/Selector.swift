import DICOMImaging
import Foundation
import Logging
import NodeConfiguration
import NodeStore

/// Decides what becomes of complete series: a job, a record of why there is none, or a wait for better ones of the same study.
struct Selector {
    let store: Store
    let configuration: Configuration
    let logger: Logger

    /// Closes a complete series; returns whether a job was queued.
    func close(_ series: SeriesInProgress, evidence: CompletionEvidence, at now: Date) throws -> Bool {
        let headers = try store.sliceHeaders(ofSeries: series.id)
        let decision = configuration.selection.decide(headers), record = decision.record
        let (id, arrival, text) = (series.id, series.lastArrival, NodeJSON.encode(evidence))
        logger.info("Series \(series.seriesInstanceUID) is complete (\(evidence.sentence)). \(record.reason)")
        guard let rule = decision.rule, rule.templateSet != nil else {
            _ = try store.leaveOut(
                series: id, lastArrival: arrival, evidence: text, selection: NodeJSON.encode(record), reason: record.reason, at: now)
            return false
        }
        if let best = rule.best, let study = headers.first?.studyInstanceUID.string {
            let contest = contestName(rule: rule, of: best.of, study: study, facts: decision.stack.facts)
            if try store.chosen(in: contest) != id {
                let candidate = Candidate(decision, rule: rule, best: best, gap: evidence.gap)
                _ = try store.enter(
                    series: id, lastArrival: arrival, evidence: text, contest: contest, facts: NodeJSON.encode(candidate), at: now)
                return false
            }
        }
        let job = try store.complete(
            series: id, lastArrival: arrival, evidence: text, selection: NodeJSON.encode(record), templateSet: record.templateSet ?? "",
            instances: decision.instances, maximumAttempts: configuration.contouring.attempts, at: now)
        return job != nil
    }

    // MARK: The best of several

    /// What a choice waits for: so long after the first series was complete, or after the latest arrival in the study.
    enum Wait: Hashable { case complete(contest: String), arrival(contest: String) }

    /// Makes the choices that are due; returns whether a job was queued, in how many seconds the next choice is due if nothing arrives
    /// before, and what is waited for.
    ///
    /// `age`: how many seconds ago that was, which happened at that time by the wall clock.
    func choose(at now: Date, age: (Wait, Date) -> Double) throws -> (queued: Bool, next: Double?, open: [Wait]) {
        var queued = false, next: Double?, open: [Wait] = []
        for contest in try store.openContests() {
            let entries = try contest.candidates.map { (row: $0, facts: try NodeJSON.decode(Candidate.self, from: $0.facts)) }
            let waiting = entries.filter { $0.row.state == .waiting }
            guard let first = waiting.first else { continue }
            let complete = Wait.complete(contest: contest.name), arrival = Wait.arrival(contest: contest.name)
            open += [complete, arrival]
            let longest = first.facts.waitSeconds - age(complete, first.row.since)
            let quiet = first.facts.quietSeconds - age(arrival, contest.lastArrival)
            let former = entries.first { $0.row.state == .chosen }
            let wait = former != nil ? 0 : contest.isArriving ? longest : min(longest, quiet)
            guard wait <= 0 else {
                next = min(next ?? wait, wait)
                continue
            }
            queued = try choose(among: waiting, former: former, at: now) || queued
        }
        return (queued, next, open)
    }

    private typealias Entry = (row: CandidateRow, facts: Candidate)

    /// Chooses once; against an earlier choice, only what the rule for late ones allows.
    private func choose(among waiting: [Entry], former: Entry?, at now: Date) throws -> Bool {
        let winner = waiting[best(of: waiting.map(\.facts))!]
        let gain = former.map { winner.facts.advantage(over: $0.facts) }
        let replaces = gain.map { $0 != nil && winner.facts.late == .supersede } ?? true
        let chosen = replaces ? winner : former!
        let choices = waiting.map { entry in
            let isChosen = entry.row.series == chosen.row.series
            let reason = isChosen
                ? Self.reason(for: chosen, among: waiting.count, former: former, gain: gain ?? nil)
                : Self.reason(against: entry, chosen: chosen, isLate: former != nil && !replaces)
            let record = SelectionRecord(rule: entry.facts.rule, templateSet: isChosen ? entry.facts.templateSet : nil, reason: reason)
            logger.info("Series \(entry.row.seriesInstanceUID): \(reason)")
            return Choice(
                series: entry.row.series, isChosen: isChosen, templateSet: entry.facts.templateSet, instances: entry.facts.instances,
                reason: reason, selection: NodeJSON.encode(record))
        }
        let job = try store.choose(
            choices, supersedes: replaces ? former?.row.series : nil, maximumAttempts: configuration.contouring.attempts, at: now)
        return job != nil
    }

    private static func reason(for chosen: Entry, among count: Int, former: Entry?, gain: String?) -> String {
        let start = "Rule \(chosen.facts.rule) matches: template set \(chosen.facts.templateSet)."
        if let former, let gain { return "\(start) It came late, and is better than series \(former.row.seriesInstanceUID), chosen before: \(gain)." }
        return "\(start) It is the best of \(count) series that the rule matches."
    }

    private static func reason(against entry: Entry, chosen: Entry, isLate: Bool) -> String {
        let start = "Rule \(entry.facts.rule) matches, but series \(chosen.row.seriesInstanceUID)"
        if let gain = chosen.facts.advantage(over: entry.facts) { return "\(start) is chosen, which is better: \(gain)." }
        if let gain = entry.facts.advantage(over: chosen.facts) { return "\(start) was chosen before this better one was complete: \(gain)." }
        return "\(start), which is as good, \(isLate ? "was chosen before" : "was complete before")."
    }
}

extension Store {
    /// The headers of a series' current instances; those that cannot be decoded are left out.
    func sliceHeaders(ofSeries id: Int64) throws -> [SliceHeader] {
        try headers(ofSeries: id).compactMap { try? NodeJSON.decode(SliceHeader.self, from: String(decoding: $0, as: UTF8.self)) }
    }
}
