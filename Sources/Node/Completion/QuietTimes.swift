import Foundation
import NodeStore
import Synchronization

/// How long each series has been quiet, by a clock that nobody sets. What happened before this run was seen by the wall clock alone.
final class QuietTimes: Sendable {
    /// What changes when a series stirs.
    private struct Signs: Equatable {
        let lastArrival: Date
        let lastEnd: Date?
        let openAssociations: Int
    }

    private let seen = Mutex<[Int64: (signs: Signs, since: ContinuousClock.Instant)]>([:])
    /// How often the series in progress were looked at in this run.
    private let looks = Mutex(0)

    /// Seconds since a series stirred. `now` and `wallNow` are the same moment.
    func seconds(_ series: SeriesInProgress, at now: ContinuousClock.Instant, wallNow: Date) -> Double {
        let signs = Signs(lastArrival: series.lastArrival, lastEnd: series.lastEnd, openAssociations: series.openAssociations)
        let since = seen.withLock { seen in
            if let known = seen[series.id], known.signs == signs { return known.since }
            // Only at this run's first look may it have stirred long ago; what is new at a later one has stirred since the look before.
            // A wall clock that was set back while the node was down would have it stir in the future.
            let before = looks.withLock({ $0 }) <= 1 && seen[series.id] == nil ? max(0, wallNow.timeIntervalSince(max(series.lastArrival, series.lastEnd ?? series.lastArrival))) : 0
            let since = now - .seconds(before)
            seen[series.id] = (signs, since)
            return since
        }
        return since.duration(to: now) / .seconds(1)
    }

    /// Begins another look: forgets all but those.
    func keep(_ series: [Int64]) {
        looks.withLock { $0 += 1 }
        seen.withLock { seen in seen = seen.filter { series.contains($0.key) } }
    }
}
