import Foundation
import NodeConfiguration
import NodeStore

/// Whether a series is complete, by evidence: every association that brought some of it has ended, it is quiet, and its
/// slices leave no gap. Where a gap stays or the last association broke, only a longer quiet ends the wait.
struct CompletionRule: Sendable {
    let idleSeconds: Double
    let gapSeconds: Double

    enum Decision: Sendable, Equatable {
        case wait(until: Date?)
        case complete(Evidence)
    }

    /// Why a series was held to be complete; kept with the job.
    struct Evidence: Sendable, Equatable, Codable {
        let instances: Int
        let lastArrival: Date
        /// How the last association of the series ended.
        let lastAssociation: AssociationEnding?
        let quietSeconds: Double
        /// What is missing between the slices; nil where nothing is.
        let gap: String?
    }

    /// `stack` is asked only when its answer matters: how many instances there are, and the gap between them.
    func decide(_ series: SeriesInProgress, at now: Date, stack: () throws -> (instances: Int, gap: String?)) rethrows -> Decision {
        guard series.openAssociations == 0 else { return .wait(until: nil) }
        let quietSince = max(series.lastArrival, series.lastEnd ?? series.lastArrival)
        guard now >= quietSince + idleSeconds else { return .wait(until: quietSince + idleSeconds) }
        let (instances, gap) = try stack()
        let whole = gap == nil && series.lastEnding == .released
        guard whole || now >= quietSince + gapSeconds else { return .wait(until: quietSince + gapSeconds) }
        return .complete(
            Evidence(
                instances: instances, lastArrival: series.lastArrival, lastAssociation: series.lastEnding,
                quietSeconds: now.timeIntervalSince(quietSince), gap: gap))
    }
}
