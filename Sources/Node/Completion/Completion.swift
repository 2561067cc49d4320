import DICOMNetwork
import Foundation
import NodeConfiguration
import NodeStore

/// Why a series was held to be complete; kept with its job.
public struct CompletionEvidence: Sendable, Equatable, Codable {
    /// What decided.
    public enum Decision: String, Sendable, Codable {
        /// All instances that were announced by MPPS or IAN are here.
        case announced
        /// As many instances are here as the source has.
        case counted
        /// It was quiet, its association was released, and its slices leave no gap.
        case gapFree
        /// It was quiet for long, though slices are missing or an association broke.
        case waitedForGap
        /// It was quiet for longer still, though the source says that more instances exist.
        case waitedForMissing
    }

    /// What was announced of the series.
    public struct Announced: Sendable, Equatable, Codable {
        /// Such as `MPPS 1.2.3 COMPLETED from CT1`.
        public let by: [String]
        public let instances, missing: Int
    }

    /// What the source said when it was asked.
    public struct Source: Sendable, Equatable, Codable {
        public let aeTitle: String
        public var instances: Int?
        public var level: SeriesCount.Level?
        /// Why there is no number.
        public var failure: String?

        init(aeTitle: String) { self.aeTitle = aeTitle }
    }

    /// Nil in jobs made before there was more than quiet and gaps.
    public var decision: Decision?
    public let instances: Int
    public let lastArrival: Date
    /// How the last association of the series ended.
    public let lastAssociation: AssociationEnding?
    public let quietSeconds: Double
    /// What is missing between the slices; nil where nothing is.
    public let gap: String?
    public var announced: Announced?
    public var source: Source?

    /// Reads what is kept with a job.
    public init(json: String) throws { self = try NodeJSON.decode(Self.self, from: json) }

    init(
        instances: Int, lastArrival: Date, lastAssociation: AssociationEnding?, quietSeconds: Double, gap: String?, announced: Announced? = nil
    ) {
        self.instances = instances
        self.lastArrival = lastArrival
        self.lastAssociation = lastAssociation
        self.quietSeconds = quietSeconds
        self.gap = gap
        self.announced = announced
    }

    /// All of it in words.
    public var sentence: String {
        var parts = ["\(instances) instances, quiet for \((quietSeconds * 10).rounded() / 10) s"]
        if let lastAssociation { parts.append("last association \(lastAssociation.rawValue)") }
        parts.append(gap ?? "no gap between the slices")
        if let announced {
            parts.append("\(announced.instances) announced by \(announced.by.joined(separator: ", "))\(announced.missing > 0 ? ", \(announced.missing) of them missing" : "")")
        }
        if let source {
            parts.append(source.instances.map { "\(source.aeTitle) has \($0) (C-FIND, \(source.level?.rawValue ?? "") level)" }
                ?? "\(source.aeTitle) could not tell (\(source.failure ?? "no answer"))")
        }
        return (decision.map { "\($0.words): " } ?? "") + parts.joined(separator: "; ")
    }
}

extension CompletionEvidence.Decision {
    fileprivate var words: String {
        switch self {
        case .announced: "all that was announced is here"
        case .counted: "all that the source has is here"
        case .gapFree: "released, quiet and gap-free"
        case .waitedForGap: "waited for what seemed to be missing"
        case .waitedForMissing: "waited for what the source says exists"
        }
    }
}

/// Whether a series is complete, by evidence.
///
/// Every association that brought some of it has ended. Then it is complete at once when all is here that a finished step or a
/// notification names. Otherwise it must be quiet for a while, and either its source has no more, or its last association was released
/// and its slices leave no gap. Where a gap stays or the association broke only a longer quiet ends the wait, and a longer one still
/// where the source, or an announcement, says that more exists.
struct CompletionRule: Sendable {
    let times: Times

    /// Seconds of quiet: before anything is concluded from it, where something seems to be missing, where something is known to be.
    struct Times: Sendable {
        let idle, gap, missing: Double
    }

    enum Decision: Sendable, Equatable {
        /// Nil: until something happens.
        case wait(seconds: Double?)
        case complete(CompletionEvidence)
    }

    /// The questions are asked only when their answers matter: how many instances there are and the gap between them, what was
    /// announced, and what the source says.
    func decide(
        _ series: SeriesInProgress, quiet: Double, stack: () throws -> (instances: Int, gap: String?), announced: () throws -> AnnouncedSeries?,
        source: () -> SourceInquiries.State
    ) rethrows -> Decision {
        guard series.openAssociations == 0 else { return .wait(seconds: nil) }
        let announcement = try announced()
        let isAnnounced = announcement.map { $0.instances > 0 && $0.missing == 0 && $0.announcements.contains { $0.state != .inProgress } } ?? false
        guard isAnnounced || quiet >= times.idle else { return .wait(seconds: times.idle - quiet) }
        let (instances, gap) = try stack()
        var evidence = CompletionEvidence(
            instances: instances, lastArrival: series.lastArrival, lastAssociation: series.lastEnding, quietSeconds: quiet, gap: gap,
            announced: announcement.map(CompletionEvidence.Announced.init))
        func complete(_ decision: CompletionEvidence.Decision, after seconds: Double = 0) -> Decision {
            guard quiet >= seconds else { return .wait(seconds: seconds - quiet) }
            evidence.decision = decision
            return .complete(evidence)
        }
        if isAnnounced { return complete(.announced) }
        switch source() {
        case .none: break
        case .pending: return .wait(seconds: nil)
        case .answered(let answer): evidence.source = answer
        }
        let isMore = evidence.source?.instances.map { $0 > instances } ?? false
        if isMore || (announcement?.missing ?? 0) > 0 { return complete(.waitedForMissing, after: times.missing) }
        if evidence.source?.instances != nil { return complete(.counted) }
        if gap == nil, series.lastEnding == .released { return complete(.gapFree) }
        return complete(.waitedForGap, after: times.gap)
    }
}

extension CompletionEvidence.Announced {
    init(_ announced: AnnouncedSeries) {
        by = announced.announcements.map { "\($0.kind.rawValue) \($0.sopInstanceUID) \($0.state.rawValue) from \($0.source)" }
        instances = announced.instances
        missing = announced.missing
    }
}
