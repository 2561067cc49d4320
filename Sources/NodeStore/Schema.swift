import GRDB

/// The database's shape. Migrations are append-only: a released one is never edited, a change is a new one.
enum Schema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 from scanner to archive") { try $0.execute(sql: first) }
        migrator.registerMigration("2 selection") { try $0.execute(sql: selection) }
        migrator.registerMigration("3 evidence") { try $0.execute(sql: evidence) }
        migrator.registerMigration("4 keeping") { try $0.execute(sql: keeping) }
        migrator.registerMigration("5 objects") { try $0.execute(sql: objects) }
        migrator.registerMigration("6 retention") { try $0.execute(sql: retention) }
        return migrator
    }

    /// Times are seconds since 1970 (REAL); paths are relative to the data folder.
    ///
    /// A series is one (series, study, patient) triple, so that objects which claim one UID for two patients
    /// never share a row. `job_instance` freezes a job's input: slices that come later belong to the next job.
    private static let first = """
        CREATE TABLE association (
            key TEXT PRIMARY KEY,
            calling_ae TEXT NOT NULL,
            called_ae TEXT NOT NULL,
            peer TEXT NOT NULL,
            started REAL NOT NULL,
            ended REAL,
            ending TEXT CHECK (ending IN ('released', 'aborted', 'lost')),
            CHECK ((ended IS NULL) = (ending IS NULL))
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX association_open ON association (key) WHERE ended IS NULL;

        CREATE TABLE series (
            id INTEGER PRIMARY KEY,
            series_uid TEXT NOT NULL,
            study_uid TEXT NOT NULL,
            patient_digest TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('receiving', 'complete', 'ignored', 'quarantined')),
            reason TEXT,
            last_arrival REAL NOT NULL,
            UNIQUE (series_uid, study_uid, patient_digest)
        ) STRICT;
        CREATE INDEX series_study ON series (study_uid);
        CREATE INDEX series_receiving ON series (id) WHERE state = 'receiving';

        CREATE TABLE series_association (
            series INTEGER NOT NULL REFERENCES series,
            association TEXT NOT NULL REFERENCES association,
            PRIMARY KEY (series, association)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE instance (
            id INTEGER PRIMARY KEY,
            series INTEGER NOT NULL REFERENCES series,
            sop_instance_uid TEXT NOT NULL,
            sop_class_uid TEXT NOT NULL,
            transfer_syntax_uid TEXT NOT NULL,
            path TEXT NOT NULL UNIQUE,
            digest TEXT NOT NULL,
            size INTEGER NOT NULL CHECK (size > 0),
            received REAL NOT NULL,
            association TEXT NOT NULL REFERENCES association,
            header BLOB NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('current', 'replaced', 'missing')),
            UNIQUE (series, sop_instance_uid, digest)
        ) STRICT;
        CREATE UNIQUE INDEX instance_current ON instance (series, sop_instance_uid) WHERE state = 'current';

        CREATE TABLE job (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            series INTEGER NOT NULL REFERENCES series,
            state TEXT NOT NULL
                CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'refused', 'withheld', 'superseded')),
            reason TEXT,
            template_set TEXT,
            attempts INTEGER NOT NULL DEFAULT 0,
            max_attempts INTEGER NOT NULL CHECK (max_attempts > 0),
            created REAL NOT NULL,
            started REAL,
            ended REAL,
            supersedes INTEGER REFERENCES job,
            evidence TEXT,
            report TEXT,
            CHECK (attempts BETWEEN 0 AND max_attempts),
            CHECK (state NOT IN ('failed', 'refused', 'withheld') OR reason IS NOT NULL)
        ) STRICT;
        CREATE UNIQUE INDEX job_queued ON job (series) WHERE state = 'queued';
        CREATE INDEX job_state ON job (state);
        CREATE INDEX job_series ON job (series);

        CREATE TABLE job_instance (
            job INTEGER NOT NULL REFERENCES job,
            instance INTEGER NOT NULL REFERENCES instance,
            PRIMARY KEY (job, instance)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE result (
            id INTEGER PRIMARY KEY,
            job INTEGER NOT NULL REFERENCES job,
            kind TEXT NOT NULL CHECK (kind IN ('SEG', 'RTSTRUCT')),
            sop_class_uid TEXT NOT NULL,
            sop_instance_uid TEXT NOT NULL,
            path TEXT NOT NULL UNIQUE,
            UNIQUE (job, kind)
        ) STRICT;

        CREATE TABLE delivery (
            id INTEGER PRIMARY KEY,
            result INTEGER NOT NULL REFERENCES result,
            destination TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed')),
            attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
            created REAL NOT NULL,
            next_attempt REAL,
            sent REAL,
            last_status INTEGER,
            note TEXT,
            UNIQUE (result, destination),
            CHECK ((state = 'pending') = (next_attempt IS NOT NULL)),
            CHECK ((state = 'sent') = (sent IS NOT NULL))
        ) STRICT;
        CREATE INDEX delivery_due ON delivery (next_attempt) WHERE state = 'pending';
        """
}
