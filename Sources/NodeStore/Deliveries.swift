import Foundation
import GRDB

/// Where a delivery stands; `sent` only ever follows the peer's success status.
public enum DeliveryState: String, Sendable, Codable { case pending, sent, failed }

/// A result that waits in the outbox for one destination.
public struct Delivery: Sendable {
    public let id: Int64
    public let destination: String
    public let sopInstanceUID: String
    /// Relative to the data folder.
    public let path: String
    /// Attempts made so far.
    public let attempts: Int
    public let created: Date
    public let nextAttempt: Date
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
                sql: """
                    SELECT d.id, d.destination, d.attempts, d.created, d.next_attempt, r.sop_instance_uid, r.path
                    FROM delivery d JOIN result r ON r.id = d.result
                    WHERE d.state = 'pending' AND (?1 IS NULL OR d.destination = ?1) ORDER BY d.next_attempt, d.id
                    """,
                arguments: [destination]
            ).map { row in
                Delivery(
                    id: row["id"], destination: row["destination"], sopInstanceUID: row["sop_instance_uid"], path: row["path"],
                    attempts: row["attempts"], created: date(row["created"])!, nextAttempt: date(row["next_attempt"])!)
            }
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
