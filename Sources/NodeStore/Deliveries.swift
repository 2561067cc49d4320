import Foundation
import GRDB

/// Where a delivery stands; `sent` only ever follows the peer's success status. `standby`: whether it goes at all is open; `omitted`: it
/// does not.
public enum DeliveryState: String, Sendable, Codable { case pending, sent, failed, standby, omitted }

/// Of a job's deliveries to one destination, what depends on whether the peer takes objects of a class.
public enum DeliveryCondition: String, Sendable, Codable {
    /// The object of that class.
    case decides
    /// What goes only beside it.
    case ifTaken
    /// What goes in its place.
    case ifNotTaken
}

/// A delivery to be made of a job's object.
public struct NewDelivery: Sendable, Equatable {
    /// Which of the results it sends, from 0.
    public let result: Int
    public let destination: String
    /// Nil goes always.
    public let condition: DeliveryCondition?

    public init(result: Int, destination: String, condition: DeliveryCondition? = nil) {
        self.result = result
        self.destination = destination
        self.condition = condition
    }
}

/// A result that waits in the outbox for one destination.
public struct Delivery: Sendable {
    public let id, job: Int64
    public let destination: String
    public let condition: DeliveryCondition?
    /// Of the object, as people see it.
    public let name: String
    public let sopInstanceUID: String
    /// Relative to the data folder.
    public let path: String
    /// Attempts made so far.
    public let attempts: Int
    public let created: Date
    public let nextAttempt: Date

    init(_ row: Row) {
        id = row["id"]
        job = row["job"]
        destination = row["destination"]
        condition = (row["condition"] as String?).flatMap(DeliveryCondition.init)
        name = row["name"]
        sopInstanceUID = row["sop_instance_uid"]
        path = row["path"]
        attempts = row["attempts"]
        created = date(row["created"])!
        nextAttempt = date(row["next_attempt"]) ?? created
    }

    static let select = """
        SELECT d.id, r.job, d.destination, d.condition, d.attempts, d.created, d.next_attempt, coalesce(r.name, r.kind) AS name,
            r.sop_instance_uid, r.path
        FROM delivery d JOIN result r ON r.id = d.result
        """
}

/// What one attempt at a delivery came to.
public enum DeliveryOutcome: Sendable {
    /// The peer holds the object; the note tells of a warning status.
    case sent(status: UInt16, note: String?)
    /// Not taken: again at that time.
    case postponed(until: Date, status: UInt16?, reason: String)
    /// Not taken, and given up until a person retries the job.
    case failed(status: UInt16?, reason: String)
}

extension Store {
    /// What waits for a destination, or for any when nil, the next due first.
    public func pendingDeliveries(to destination: String? = nil) throws -> [Delivery] {
        try pool.read { db in
            try Row.fetchAll(
                db,
                sql: Delivery.select + " WHERE d.state = 'pending' AND (?1 IS NULL OR d.destination = ?1) ORDER BY d.next_attempt, d.id",
                arguments: [destination]
            ).map(Delivery.init)
        }
    }

    /// Deliveries of a job to a destination of which it is open whether they go.
    public func standbyDeliveries(of job: Int64, to destination: String) throws -> [Delivery] {
        try pool.read { db in
            try Row.fetchAll(
                db, sql: Delivery.select + " WHERE d.state = 'standby' AND r.job = ? AND d.destination = ? ORDER BY d.id", arguments: [job, destination]
            ).map(Delivery.init)
        }
    }

    /// Settles which of a job's deliveries to a destination go, before any that depend on it does: at once and for good, so that no
    /// crash can have both kinds sent, or neither. Does nothing where that is settled already.
    public func settle(deliveriesOf job: Int64, to destination: String, isTaken: Bool, reason: String, at now: Date) throws {
        let its = "destination = ? AND result IN (SELECT id FROM result WHERE job = ?)", goes = isTaken ? "ifTaken" : "ifNotTaken"
        try groupCommit { db in
            guard try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM delivery WHERE \(its) AND state = 'standby')", arguments: [destination, job])!
            else { return }
            try db.execute(
                sql: """
                    UPDATE delivery SET note = ?, state = iif(condition = ?, 'pending', 'omitted'), next_attempt = iif(condition = ?, ?, NULL)
                    WHERE \(its) AND (state = 'standby' OR (condition = 'decides' AND state = 'pending' AND NOT ?))
                    """,
                arguments: [reason, goes, goes, now.timeIntervalSince1970, destination, job, isTaken])
        }
    }

    /// Records an attempt at a pending delivery.
    public func record(delivery id: Int64, _ outcome: DeliveryOutcome, at now: Date) throws {
        try recordAttempt(in: "delivery", id, outcome, at: now)
    }

    /// Records an attempt at what stands pending in a table with a delivery's columns.
    func recordAttempt(in table: String, _ id: Int64, _ outcome: DeliveryOutcome, at now: Date) throws {
        let (state, next, sent, status, note): (DeliveryState, Date?, Date?, UInt16?, String?) =
            switch outcome {
            case .sent(let status, let note): (.sent, nil, now, status, note)
            case .postponed(let until, let status, let reason): (.pending, until, nil, status, reason)
            case .failed(let status, let reason): (.failed, nil, nil, status, reason)
            }
        try groupCommit { db in
            try db.execute(
                sql: """
                    UPDATE \(table) SET state = ?, next_attempt = ?, sent = ?, last_status = ?, note = ?, attempts = attempts + 1
                    WHERE id = ? AND state = 'pending'
                    """,
                arguments: [state.rawValue, next?.timeIntervalSince1970, sent?.timeIntervalSince1970, status.map { Int($0) }, note, id])
        }
    }
}
