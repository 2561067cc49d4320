/// Objects that differ by destination: many of a kind, each for some destinations, some only where a peer does not take another.
extension Schema {
    /// `result.name` and `.specification` tell what an object was made for; NULL in rows of before, which were the only ones of their kind.
    /// `delivery.condition`: of deliveries that depend on whether the peer takes one object, that one and the others; NULL goes always.
    /// A standby delivery waits for that, an omitted one never goes.
    static let objects = """
        CREATE TABLE new_result (
            id INTEGER PRIMARY KEY,
            job INTEGER NOT NULL REFERENCES job,
            kind TEXT NOT NULL,
            name TEXT,
            specification TEXT,
            sop_class_uid TEXT NOT NULL,
            sop_instance_uid TEXT NOT NULL,
            path TEXT NOT NULL UNIQUE,
            deleted REAL,
            deletion TEXT,
            digest TEXT
        ) STRICT;
        INSERT INTO new_result SELECT id, job, kind, NULL, NULL, sop_class_uid, sop_instance_uid, path, deleted, deletion, digest FROM result;
        DROP TABLE result;
        ALTER TABLE new_result RENAME TO result;
        CREATE INDEX result_job ON result (job);

        CREATE TABLE new_delivery (
            id INTEGER PRIMARY KEY,
            result INTEGER NOT NULL REFERENCES result,
            destination TEXT NOT NULL,
            condition TEXT CHECK (condition IN ('decides', 'ifTaken', 'ifNotTaken')),
            state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed', 'standby', 'omitted')),
            attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
            created REAL NOT NULL,
            next_attempt REAL,
            sent REAL,
            last_status INTEGER,
            note TEXT,
            UNIQUE (result, destination),
            CHECK ((state = 'pending') = (next_attempt IS NOT NULL)),
            CHECK ((state = 'sent') = (sent IS NOT NULL)),
            CHECK (state NOT IN ('standby', 'omitted') OR condition IS NOT NULL)
        ) STRICT;
        INSERT INTO new_delivery SELECT id, result, destination, NULL, state, attempts, created, next_attempt, sent, last_status, note FROM delivery;
        DROP TABLE delivery;
        ALTER TABLE new_delivery RENAME TO delivery;
        CREATE INDEX delivery_due ON delivery (next_attempt) WHERE state = 'pending';
        """
}
