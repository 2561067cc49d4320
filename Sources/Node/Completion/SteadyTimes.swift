import Foundation
import NodeStore
import Synchronization

/// How long ago things happened that rows tell of, by a clock that nobody sets. What happened before this run was seen by the wall clock alone.
final class SteadyTimes<Key: Hashable & Sendable, Signs: Equatable & Sendable>: Sendable {
    private let seen = Mutex<[Key: (signs: Signs, since: ContinuousClock.Instant)]>([:])
    /// Whether the things were looked at in this run before.
    private let hasLooked = Mutex(false)

    /// Seconds since something happened; `signs` is what changes when it happens again.
    ///
    /// `now` and `wallNow` are the same moment; `stamp` is when it happened by the wall clock, `atMost` how long ago that can be if it is new.
    func seconds(since stamp: Date, of key: Key, signs: Signs, at now: ContinuousClock.Instant, wallNow: Date, atMost: Double = 0) -> Double {
        let since = seen.withLock { seen in
            if let known = seen[key], known.signs == signs { return known.since }
            // Only at this run's first look may it have happened long ago; what is new at a later one has happened since the look before.
            // A wall clock that was set back while the node was down would have it happen in the future.
            let isOld = !hasLooked.withLock { $0 } && seen[key] == nil
            let before = min(max(0, wallNow.timeIntervalSince(stamp)), isOld ? .infinity : atMost)
            let since = now - .seconds(before)
            seen[key] = (signs, since)
            return since
        }
        return since.duration(to: now) / .seconds(1)
    }

    /// Ends a look: forgets all but those.
    func keep(_ keys: some Sequence<Key>) {
        hasLooked.withLock { $0 = true }
        let kept = Set(keys)
        seen.withLock { seen in seen = seen.filter { kept.contains($0.key) } }
    }
}

/// For how long each series has been quiet.
typealias QuietTimes = SteadyTimes<Int64, SeriesSigns>

/// For how long contests have waited.
typealias ContestTimes = SteadyTimes<Selector.Wait, Date>

/// What changes when a series stirs.
struct SeriesSigns: Equatable {
    let lastArrival: Date
    let lastEnd: Date?
    let openAssociations: Int
}

extension QuietTimes {
    /// Seconds since a series stirred. `now` and `wallNow` are the same moment.
    func seconds(_ series: SeriesInProgress, at now: ContinuousClock.Instant, wallNow: Date) -> Double {
        let signs = SeriesSigns(lastArrival: series.lastArrival, lastEnd: series.lastEnd, openAssociations: series.openAssociations)
        return seconds(since: max(series.lastArrival, series.lastEnd ?? series.lastArrival), of: series.id, signs: signs, at: now, wallNow: wallNow)
    }
}
