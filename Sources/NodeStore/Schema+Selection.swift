extension Schema {
    /// Why each series was selected; and of series that compete, which wait for a choice, which was chosen and which were passed over.
    static let selection = """
        ALTER TABLE job ADD COLUMN selection TEXT;

        CREATE TABLE candidate (
            series INTEGER PRIMARY KEY REFERENCES series ON DELETE CASCADE,
            contest TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('waiting', 'chosen', 'passed')),
            since REAL NOT NULL,
            evidence TEXT NOT NULL,
            facts TEXT NOT NULL
        ) STRICT;
        CREATE INDEX candidate_contest ON candidate (contest);
        CREATE UNIQUE INDEX candidate_chosen ON candidate (contest) WHERE state = 'chosen';
        """
}
