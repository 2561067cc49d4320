import Foundation
import GRDB
import NodeTesting
import Testing

@testable import NodeStore

@Suite struct OpeningTests {
    private let folder: URL
    private var database: URL { folder.appending(path: "node.sqlite") }
    init() throws { folder = try Places.temporaryFolder("opening") }

    /// A database with some rows in every table that the first schema had, as its program left it.
    private func firstDatabase() throws {
        let queue = try DatabaseQueue(path: database.path)
        try Schema.migrator.migrate(queue, upTo: "1 from scanner to archive")
        try queue.write { db in
            try db.execute(sql: """
                PRAGMA journal_mode = DELETE;
                INSERT INTO association VALUES ('r/1', 'CT1', 'MEDLSAM', '127.0.0.1', 1, 2, 'released'), ('r/2', 'CT1', 'MEDLSAM', '::1', 1, NULL, NULL);
                INSERT INTO series VALUES (1, '1.2', '1.3', 'p', 'complete', NULL, 2), (2, '1.9', '1.3', 'q', 'quarantined', 'Quarantined: x', 2);
                INSERT INTO series_association VALUES (1, 'r/1'), (2, 'r/2');
                INSERT INTO instance VALUES
                    (1, 1, '1.1', '1.5', '1.6', 'instances/1.2/1.1.dcm', 'd', 10, 2, 'r/1', x'00', 'current'),
                    (2, 1, '1.1', '1.5', '1.6', 'instances/1.2/1.1.old.dcm', 'old', 10, 1, 'r/1', x'00', 'replaced'),
                    (3, 2, '1.7', '1.5', '1.6', 'instances/1.9/1.7.dcm', 'd', 10, 2, 'r/2', x'00', 'missing');
                INSERT INTO job VALUES (1, 1, 'succeeded', NULL, 'head-neck', 1, 3, 3, 4, 5, NULL, '{}', '{}'), (2, 2, 'refused', 'Quarantined: x', NULL, 0, 1, 3, NULL, 5, NULL, NULL, NULL);
                INSERT INTO job_instance VALUES (1, 1);
                INSERT INTO result VALUES (1, 1, 'SEG', '1.66', '1.67', 'results/1/SEG.dcm');
                INSERT INTO delivery VALUES (1, 1, 'archive', 'sent', 1, 5, NULL, 6, 0, NULL), (2, 1, 'other', 'pending', 2, 5, 7, NULL, NULL, 'x');
                """)
        }
        try queue.close()
    }

    /// Everything in some tables of a database, by sqlite3 itself.
    private func rows(_ sql: String) throws -> String { try runTool("sqlite3", [database.path, sql]).output }

    @Test func aDatabaseOfTheFirstSchemaKeepsItsRowsAndGoesOn() throws {
        try firstDatabase()
        let tables = ["association", "series", "series_association", "job_instance", "delivery"]
        let counts = tables.map { "SELECT count(*) FROM \($0);" }.joined()
        let job = "SELECT id, series, state, reason, template_set, attempts, max_attempts, created, started, ended FROM job;"
        let instance = "SELECT id, series, sop_instance_uid, path, digest, size, received, association, state FROM instance;"
        let before = try rows(counts + job + instance)
        let store = try Store(folder: folder, checking: true)
        #expect(try rows(counts + job + instance) == before)
        #expect(try rows("PRAGMA integrity_check; PRAGMA foreign_key_check;") == "ok\n")
        #expect(try store.pool.read(Schema.migrator.hasCompletedMigrations))
        // What the old rows say is understood, and new rows go beside them.
        #expect(try store.quarantine().map(\.id) == [2])
        #expect(try store.instances(withSOPInstanceUID: "1.1").map(\.state) == [.current, .replaced])
        #expect(try store.pendingDeliveries().map(\.destination) == ["other"])
        #expect(try store.job(1).deliveries.map { "\($0.name) \($0.state)" } == ["SEG sent", "SEG pending"])
        #expect(try store.job(1).results.map(\.path) == ["results/1/SEG.dcm"])
        #expect(try store.recover(files: [], at: start).lostAssociations == 1)
        let bench = Bench(store: store)
        #expect(try bench.record(bench.instance("1.80", series: "1.2")) == .new)
    }

    @Test func aDatabaseOfALaterVersionIsRefusedAndNotTouched() throws {
        try firstDatabase()
        #expect(try runTool("sqlite3", [database.path, "INSERT INTO grdb_migrations VALUES ('99 from the future')"]).status == 0)
        let before = try Data(contentsOf: database)
        for checking in [true, false] {
            #expect { _ = try Store(folder: folder, checking: checking) } throws: { ($0 as? StoreError)?.code == .newer }
        }
        #expect(try Data(contentsOf: database) == before)
    }

    enum Harm: CaseIterable { case truncated, header, page, text }

    @Test(arguments: Harm.allCases)
    func aBrokenDatabaseIsAClearErrorAndNotTouched(_ harm: Harm) async throws {
        do {
            let bench = try Bench(store: Store(folder: folder))
            for number in 0..<200 { try bench.record(bench.instance("1.1.\(number)")) }
        }
        // The store lets go of the database when its last commit is through.
        _ = try await eventually("the database is free") {
            try runTool("sqlite3", [database.path, "PRAGMA journal_mode = DELETE; VACUUM;"]).status == 0 ? true : nil
        }
        var bytes = try Data(contentsOf: database)
        switch harm {
        case .truncated: bytes.removeLast(bytes.count / 2)
        case .header: bytes.replaceSubrange(0..<100, with: Data(repeating: 0x5A, count: 100))
        case .page: bytes.replaceSubrange(4096 * 8..<4096 * 20, with: Data(repeating: 0xA5, count: 4096 * 12))
        case .text: bytes = Data("This is not a database, but it is long enough to be read as one by somebody who does not look. ".utf8)
        }
        try bytes.write(to: database)
        #expect { _ = try Store(folder: folder, checking: true) } throws: {
            guard let error = $0 as? StoreError else { return false }
            return error.code == .damaged && error.message.contains("node.sqlite") && error.message.contains("recover.md")
        }
        #expect(try Data(contentsOf: database) == bytes)
    }

    @Test func aDatabaseThatLostItsTablesIsNotTakenForANewOne() throws {
        try Data(count: 2000).write(to: database)
        #expect { _ = try Store(folder: folder, existing: true) } throws: { ($0 as? StoreError)?.code == .damaged }
        #expect(try Data(contentsOf: database) == Data(count: 2000))
    }

    @Test func readingNeitherMakesNorChangesADatabase() throws {
        #expect(throws: StoreError.self) { try Store(reading: folder) }
        #expect(!FileManager.default.fileExists(atPath: database.path))
        try firstDatabase()
        let before = try Data(contentsOf: database)
        #expect { _ = try Store(reading: folder) } throws: { ($0 as? StoreError)?.code == .notAllowed }
        #expect(try Data(contentsOf: database) == before)
    }
}
