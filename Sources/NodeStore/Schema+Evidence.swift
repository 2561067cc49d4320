extension Schema {
    /// What peers announced of series, and what they want to have committed.
    ///
    /// `ended_order` tells which association of a series ended last though the clock was set back between. `announced_instance`
    /// names series and instances that need not be here yet. A commitment's references carry a Failure Reason (PS3.3 C.14.1.1), or
    /// none, from `checked` on.
    static let evidence = """
        ALTER TABLE association ADD COLUMN ended_order INTEGER;
        CREATE INDEX association_ended_order ON association (ended_order);
        CREATE INDEX instance_sop ON instance (sop_instance_uid);

        CREATE TABLE announcement (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('MPPS', 'IAN')),
            sop_instance_uid TEXT NOT NULL,
            source TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('IN PROGRESS', 'COMPLETED', 'DISCONTINUED')),
            received REAL NOT NULL,
            UNIQUE (kind, sop_instance_uid)
        ) STRICT;

        CREATE TABLE announced_instance (
            announcement INTEGER NOT NULL REFERENCES announcement,
            series_uid TEXT NOT NULL,
            sop_instance_uid TEXT NOT NULL,
            PRIMARY KEY (announcement, series_uid, sop_instance_uid)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX announced_series ON announced_instance (series_uid);

        CREATE TABLE commitment (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            transaction_uid TEXT NOT NULL,
            requester TEXT NOT NULL,
            responder TEXT NOT NULL,
            peer TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed')),
            received REAL NOT NULL,
            checked REAL,
            attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
            created REAL NOT NULL,
            next_attempt REAL,
            sent REAL,
            last_status INTEGER,
            note TEXT,
            CHECK ((state = 'pending') = (next_attempt IS NOT NULL)),
            CHECK ((state = 'sent') = (sent IS NOT NULL))
        ) STRICT;
        CREATE INDEX commitment_transaction ON commitment (transaction_uid);
        CREATE INDEX commitment_due ON commitment (requester, next_attempt) WHERE state = 'pending';

        CREATE TABLE commitment_reference (
            commitment INTEGER NOT NULL REFERENCES commitment,
            position INTEGER NOT NULL,
            sop_class_uid TEXT NOT NULL,
            sop_instance_uid TEXT NOT NULL,
            failure INTEGER,
            PRIMARY KEY (commitment, position)
        ) STRICT, WITHOUT ROWID;
        """
}
