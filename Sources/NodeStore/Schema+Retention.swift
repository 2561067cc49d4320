/// How long nothing has needed a series, by a clock that nobody sets.
extension Schema {
    /// `service`: for how many seconds a node has worked on this folder, of all runs. `unneeded`: since when on that clock nothing has needed
    /// a series; `signs` is what that was seen by, so that a series that stirred since begins anew.
    static let retention = """
        CREATE TABLE service (id INTEGER PRIMARY KEY CHECK (id = 1), seconds REAL NOT NULL) STRICT;
        INSERT INTO service VALUES (1, 0);

        CREATE TABLE unneeded (
            series INTEGER PRIMARY KEY REFERENCES series ON DELETE CASCADE,
            signs TEXT NOT NULL,
            since REAL NOT NULL
        ) STRICT;
        CREATE INDEX unneeded_since ON unneeded (since);
        """
}
