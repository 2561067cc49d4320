import DICOMImaging
import Foundation
import Logging
import NodeConfiguration
import NodeStore
import ServiceLifecycle

/// Turns series that are complete into jobs.
struct AssemblyService: Service {
    let store: Store
    let configuration: Configuration
    /// Rung when an association ended.
    let alarm: Alarm
    /// Called when a job was made.
    let queued: @Sendable () -> Void
    let logger: Logger

    func run() async throws {
        await alarm.answer("assembly", logger: logger) { try completeSeries(at: Date()) }
    }

    /// Makes the jobs that are due; returns when to look again if nothing arrives before.
    func completeSeries(at now: Date) throws -> Date? {
        let rule = CompletionRule(idleSeconds: configuration.completion.idleSeconds, gapSeconds: configuration.completion.gapSeconds)
        let selector = Selector(store: store, configuration: configuration, logger: logger)
        var next: Date?
        for series in try store.seriesInProgress() {
            switch try rule.decide(series, at: now, stack: { try stack(of: series.id) }) {
            case .wait(until: nil): break
            case .wait(until: let date?): next = min(next ?? date, date)
            case .complete(let evidence):
                if try selector.close(series, evidence: evidence, at: now) { queued() }
            }
        }
        let choice = try selector.choose(at: now)
        if choice.queued { queued() }
        if let date = choice.next { next = min(next ?? date, date) }
        return next
    }

    private func stack(of series: Int64) throws -> (instances: Int, gap: String?) {
        let records = try store.headers(ofSeries: series)
        let headers = records.compactMap { try? NodeJSON.decode(SliceHeader.self, from: String(decoding: $0, as: UTF8.self)) }
        return (records.count, SliceStack.gap(in: headers))
    }
}
