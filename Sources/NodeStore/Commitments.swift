import Foundation
import GRDB

/// An instance whose safekeeping a peer asks for, and how that stands.
public struct CommitmentReference: Sendable, Codable, Equatable, Hashable {
    public let sopClassUID, sopInstanceUID: String
    /// Failure Reason (PS3.3 C.14.1.1); nil where it is committed, or has not been checked.
    public var failure: UInt16?

    public init(sopClassUID: String, sopInstanceUID: String, failure: UInt16? = nil) {
        self.sopClassUID = sopClassUID
        self.sopInstanceUID = sopInstanceUID
        self.failure = failure
    }
}

/// A request for storage commitment, for `commitments list`.
public struct Commitment: Sendable, Codable {
    public let id: Int64
    public let transactionUID: String
    /// The AE title that asked, the one it asked, and its address.
    public let requester, responder, peer: String
    /// Whether the report waits to be sent, was taken by the requester, or was given up.
    public let state: DeliveryState
    public let received: Date
    /// When its references were checked; nil before.
    public let checked: Date?
    /// Attempts at the report since `created`.
    public let attempts: Int
    public let created: Date
    public let nextAttempt, sent: Date?
    /// The requester's last DIMSE status.
    public let lastStatus: Int?
    public let note: String?
    /// How many instances it names, and how many of those are not committed.
    public let references, failures: Int
}

extension Store {
    /// Days for which requests are kept once they have been reported or given up.
    private static let commitmentsKept = 90.0

    /// Records a request; durable when this returns. The report may go out from `firstAttempt` on.
    ///
    /// A request that the requester repeats word by word is the same one, to be checked and reported anew. A Transaction UID used for
    /// other instances makes a request all of whose references fail with `duplicate`.
    public func recordCommitment(
        transactionUID: String, requester: String, responder: String, peer: String, references: [CommitmentReference], duplicate: UInt16,
        firstAttempt: Date, at now: Date
    ) throws -> Int64 {
        try groupCommit { db in
            let earlier = try Int64.fetchOne(
                db, sql: "SELECT min(id) FROM commitment WHERE transaction_uid = ? AND requester = ?", arguments: [transactionUID, requester])
            var failure: UInt16?
            if let earlier {
                let known = try Self.references(of: earlier, in: db).map { CommitmentReference(sopClassUID: $0.sopClassUID, sopInstanceUID: $0.sopInstanceUID) }
                if known == references {
                    try Self.renew(earlier, firstAttempt: firstAttempt, at: now, in: db)
                    return earlier
                }
                failure = duplicate
            }
            try Self.forgetCommitments(before: now - Self.commitmentsKept * 86_400, in: db)
            let (moment, first) = (now.timeIntervalSince1970, firstAttempt.timeIntervalSince1970)
            try db.execute(
                sql: """
                    INSERT INTO commitment (transaction_uid, requester, responder, peer, state, received, checked, created, next_attempt)
                    VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, ?)
                    """,
                arguments: [transactionUID, requester, responder, peer, moment, failure == nil ? nil : moment, moment, first])
            let id = db.lastInsertedRowID
            for (position, reference) in references.enumerated() {
                try db.execute(
                    sql: "INSERT INTO commitment_reference VALUES (?, ?, ?, ?, ?)",
                    arguments: [id, position, reference.sopClassUID, reference.sopInstanceUID, failure.map { Int($0) }])
            }
            return id
        }
    }

    /// Has a request checked and reported again that was reported or given up.
    public func retry(commitment id: Int64, at now: Date) throws {
        try groupCommit { db in
            guard try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM commitment WHERE id = ?)", arguments: [id])! else {
                throw StoreError(.notFound, "There is no commitment \(id).")
            }
            try Self.renew(id, firstAttempt: now, at: now, in: db)
        }
    }

    private static func forgetCommitments(before limit: Date, in db: Database) throws {
        let old = "state <> 'pending' AND received < ?"
        for sql in ["DELETE FROM commitment_reference WHERE commitment IN (SELECT id FROM commitment WHERE \(old))", "DELETE FROM commitment WHERE \(old)"] {
            try db.execute(sql: sql, arguments: [limit.timeIntervalSince1970])
        }
    }

    private static func renew(_ id: Int64, firstAttempt: Date, at now: Date, in db: Database) throws {
        try db.execute(
            sql: """
                UPDATE commitment SET state = 'pending', checked = NULL, attempts = 0, created = ?, next_attempt = ?, sent = NULL,
                    last_status = NULL, note = NULL WHERE id = ?
                """,
            arguments: [now.timeIntervalSince1970, firstAttempt.timeIntervalSince1970, id])
    }

    /// Requests whose report waits, the next due first; of one requester when given.
    public func pendingCommitments(of requester: String? = nil) throws -> [Commitment] {
        try commitments("c.state = 'pending' AND (?1 IS NULL OR c.requester = ?1) ORDER BY c.next_attempt, c.id", [requester])
    }

    /// Requests, the newest first, at most `limit`.
    public func commitments(limit: Int = 1000) throws -> [Commitment] { try commitments("true ORDER BY c.id DESC LIMIT ?", [limit]) }

    /// One request with its references, in the order they were named.
    public func commitment(_ id: Int64) throws -> (Commitment, [CommitmentReference]) {
        guard let commitment = try commitments("c.id = ?", [id]).first else { throw StoreError(.notFound, "There is no commitment \(id).") }
        return (commitment, try pool.read { try Self.references(of: id, in: $0) })
    }

    /// Keeps what a check of a request found: the failure, or none, of each reference in order.
    public func record(check failures: [UInt16?], of id: Int64, at now: Date) throws {
        try groupCommit { db in
            for (position, failure) in failures.enumerated() {
                try db.execute(
                    sql: "UPDATE commitment_reference SET failure = ? WHERE commitment = ? AND position = ?",
                    arguments: [failure.map { Int($0) }, id, position])
            }
            try db.execute(sql: "UPDATE commitment SET checked = ? WHERE id = ?", arguments: [now.timeIntervalSince1970, id])
        }
    }

    /// Records an attempt at the report of a pending request.
    public func record(commitment id: Int64, _ outcome: DeliveryOutcome, at now: Date) throws {
        try recordAttempt(in: "commitment", id, outcome, at: now)
    }

    private static func references(of id: Int64, in db: Database) throws -> [CommitmentReference] {
        try Row.fetchAll(db, sql: "SELECT * FROM commitment_reference WHERE commitment = ? ORDER BY position", arguments: [id]).map {
            CommitmentReference(
                sopClassUID: $0["sop_class_uid"], sopInstanceUID: $0["sop_instance_uid"], failure: ($0["failure"] as Int?).map { UInt16($0) })
        }
    }

    private func commitments(_ condition: String, _ arguments: StatementArguments) throws -> [Commitment] {
        try pool.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT c.*, (SELECT count(*) FROM commitment_reference r WHERE r.commitment = c.id) AS refs,
                        (SELECT count(failure) FROM commitment_reference r WHERE r.commitment = c.id) AS failures
                    FROM commitment c WHERE \(condition)
                    """,
                arguments: arguments
            ).map { row in
                Commitment(
                    id: row["id"], transactionUID: row["transaction_uid"], requester: row["requester"], responder: row["responder"],
                    peer: row["peer"], state: DeliveryState(rawValue: row["state"])!, received: date(row["received"])!,
                    checked: date(row["checked"]), attempts: row["attempts"], created: date(row["created"])!,
                    nextAttempt: date(row["next_attempt"]), sent: date(row["sent"]), lastStatus: row["last_status"], note: row["note"],
                    references: row["refs"], failures: row["failures"])
            }
        }
    }
}
