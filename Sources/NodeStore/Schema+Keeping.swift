/// What keeping a store for months needs: versions of an instance seen side by side, what retention deleted, what persons decided.
extension Schema {
    /// `instance.deleted`: when retention took the file, and `deletion` why; a row without them that is `missing` lost its file.
    /// `conflict`: one SOP Instance UID came with two contents. `decision`: what persons decided about quarantined series; never changed.
    static let keeping = """
        ALTER TABLE instance ADD COLUMN deleted REAL CHECK (deleted IS NULL OR state = 'missing');
        ALTER TABLE instance ADD COLUMN deletion TEXT;
        ALTER TABLE result ADD COLUMN deleted REAL;
        ALTER TABLE result ADD COLUMN deletion TEXT;
        ALTER TABLE result ADD COLUMN digest TEXT;

        CREATE TABLE conflict (
            id INTEGER PRIMARY KEY,
            sop_instance_uid TEXT NOT NULL,
            held INTEGER NOT NULL REFERENCES instance,
            other_digest TEXT NOT NULL,
            outcome TEXT NOT NULL CHECK (outcome IN ('replaced', 'keptFirst', 'refused', 'keptBeside')),
            association TEXT NOT NULL REFERENCES association,
            first REAL NOT NULL,
            last REAL NOT NULL,
            times INTEGER NOT NULL DEFAULT 1 CHECK (times > 0),
            UNIQUE (sop_instance_uid, other_digest)
        ) STRICT;

        CREATE TABLE decision (
            id INTEGER PRIMARY KEY,
            series INTEGER NOT NULL REFERENCES series,
            decision TEXT NOT NULL CHECK (decision IN ('released', 'keptApart')),
            made REAL NOT NULL,
            who TEXT NOT NULL,
            why TEXT NOT NULL
        ) STRICT;
        CREATE INDEX decision_series ON decision (series);
        CREATE TRIGGER decision_unchanged BEFORE UPDATE ON decision BEGIN SELECT RAISE(ABORT, 'a decision is never changed'); END;
        CREATE TRIGGER decision_undeleted BEFORE DELETE ON decision BEGIN SELECT RAISE(ABORT, 'a decision is never deleted'); END;
        """
}
