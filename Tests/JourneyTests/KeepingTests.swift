import Foundation
import NodeTesting
import Testing
@testable import medlsam_node

/// What keeps a node's data for months, by the program itself and tools that we did not write.
@Suite(.serialized) struct KeepingTests {
    private let folder: URL
    private let node: NodeUnderTest
    private let slices: [String]

    init() throws {
        folder = try Places.temporaryFolder("keeping")
        node = try NodeUnderTest(in: folder, models: false, minimumFreeMegabytes: 0)
        slices = try Phantom.headCT(into: folder.appending(path: "ct"), columns: 32, rows: 32, slices: 6)
    }

    private func copy(_ changes: [String]) throws -> String {
        let path = folder.appending(path: "\(UUID().uuidString).dcm").path
        try FileManager.default.copyItem(atPath: slices[0], toPath: path)
        #expect(try runTool("dcmodify", ["-nb", "-imt"] + changes.flatMap { ["-m", $0] } + [path]).status == 0)
        return path
    }

    private func storescu(_ paths: [String]) throws -> ToolResult {
        try runTool("storescu", ["-v", "-aec", "MEDLSAM", "-aet", "SCANNER", "127.0.0.1", "\(node.port)"] + paths)
    }

    /// Whether this machine lets a test mount: in a namespace of its own, which nobody else sees.
    static let canMount = (try? runTool("unshare", ["-m", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/mnt"]).status) == 0

    @Test(.enabled(if: canMount)) func mountsThatComeAndGoLoseNothing() throws {
        let result = try runTool(
            "unshare", ["-m", "--propagation", "private", Places.python, Places.repository.appending(path: "Tests/Judges/keeping.py").path,
                        program("medlsam-node"), node.settings, folder.path] + slices)
        #expect(result.status == 0, "\(result.output)")
    }

    @Test func theLockEndsWithItsProcessHoweverThatEnds() async throws {
        let first = try await node.serve()
        let second = try node.command("serve")
        #expect(second.status == ExitStatus.notAllowed.rawValue && second.output.contains("Another node works on"), "\(second.output)")
        #expect(first.isRunning)
        first.kill()
        let third = try await node.serve()
        #expect(third.terminate() == 0)
    }

    @Test func conflictsAndQuarantineAreShownAndDecidedByCommand() async throws {
        let process = try await node.serve()
        defer { process.kill() }
        let other = try copy(["SeriesDescription=corrected"])
        let stranger = try copy(["PatientID=SOMEBODY", "PatientName=Else^Some", "SeriesInstanceUID=1.2.3.4", "SOPInstanceUID=1.2.3.5"])
        #expect(try storescu([slices[0], other, stranger]).status == 0)

        struct Conflict: Decodable { let outcome, callingAETitle: String, times: Int }
        let conflicts = try JSONDecoder().decode([Conflict].self, from: Data(node.command("conflicts", "--json").output.utf8))
        #expect(conflicts.map(\.outcome) == ["replaced"] && conflicts[0].callingAETitle == "SCANNER")

        struct Quarantined: Decodable {
            struct Decision: Decodable { let decision, who, why: String }
            let id: Int, seriesInstanceUID: String, path, otherPath: String?, decisions: [Decision]
        }
        func quarantine(_ arguments: String...) throws -> [Quarantined] {
            let list = try runTool(program("medlsam-node"), ["quarantine", "list", "--json", "--config", node.settings] + arguments)
            return try JSONDecoder().decode([Quarantined].self, from: Data(list.output.utf8))
        }
        let series = try #require(try quarantine().first)
        #expect(series.seriesInstanceUID == "1.2.3.4" && series.path != nil && series.otherPath != nil)
        let text = try node.command("quarantine", "list").output
        #expect(text.contains("1.2.3.4") && !text.contains("SOMEBODY") && !text.contains("Else"), "no patient data")
        #expect(try node.command("doctor").output.contains("1 series wait for a decision"))
        #expect(try node.command("quarantine", "keep", "\(series.id)", "--reason", "A mix-up at the scanner").status == 0)
        #expect(try quarantine().isEmpty)
        #expect(try node.command("quarantine", "release", "\(series.id)").status == ExitStatus.usage.rawValue, "a reason is wanted")
        #expect(try node.command("quarantine", "release", "\(series.id)", "--reason", "It was right after all").status == 0)
        #expect(try quarantine("--all")[0].decisions.map(\.decision) == ["keptApart", "released"])
        #expect(try node.command("quarantine", "release", "\(series.id)", "--reason", "x").status == ExitStatus.notAllowed.rawValue)
        #expect(try node.command("quarantine", "release", "99", "--reason", "x").status == ExitStatus.noInput.rawValue)
        _ = try await node.job("the released series' job") { $0.seriesInstanceUID == "1.2.3.4" && $0.state != "refused" }
    }

    @Test func logListingsAndDatabaseHoldNothingOfAPatient() async throws {
        let process = try await node.serve()
        defer { process.kill() }
        let other = try copy(["SeriesDescription=corrected"])
        let stranger = try copy(["PatientID=SOMEBODY", "PatientName=Else^Some", "SeriesInstanceUID=1.2.3.4", "SOPInstanceUID=1.2.3.5"])
        let homeless = try copy(["SOPInstanceUID=1.2.3.6"])
        #expect(try runTool("dcmodify", ["-nb", "-imt", "-ea", "StudyInstanceUID", homeless]).status == 0)
        for paths in [slices, [other, stranger], [homeless]] { _ = try storescu(paths) }
        _ = try await node.job("a job that fails") { $0.state == "failed" }
        let texts = try everythingSaid(by: node)
        #expect(texts.allSatisfy { !$0.isEmpty } && texts[5].contains("1.2.3.6") && texts[6...].contains { $0.contains("1.2.3.5") }, "all of it happened")
        for (text, patient) in texts.flatMap({ text in ["PHANTOM^", "19700101", "SOMEBODY", "Else^Some"].map { (text, $0) } }) {
            #expect(!text.contains(patient), "\(patient) in \(text.prefix(2000))")
        }
    }

    /// Listings, then log, database and journal.
    private func everythingSaid(by node: NodeUnderTest) throws -> [String] {
        let listings = [["jobs", "list", "--json"], ["jobs", "show", "1", "--json"], ["conflicts", "--json"], ["quarantine", "list", "--json"], ["doctor", "--data"]]
        return try listings.map { try runTool(program("medlsam-node"), $0 + ["--config", node.settings]).output }
            + ["node.log", "data/node.sqlite", "data/node.sqlite-wal", "data/intake.journal"].map {
                String(decoding: try Data(contentsOf: node.folder.appending(path: $0)), as: UTF8.self)
            }
    }

    @Test func logListingsAndDatabaseHoldNoUserNoPasscodeAndNoTicket() async throws {
        let home = folder.appending(path: "secrets")
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        func file(_ content: String) throws -> String {
            let path = home.appending(path: UUID().uuidString).path
            try content.write(toFile: path, atomically: true, encoding: .utf8)
            return path
        }
        let node = try NodeUnderTest(in: home, models: false, minimumFreeMegabytes: 0, more: """
            access: {users: [{name: KNOWN-USER, passcodeFile: \(file("RIGHT-PASSCODE"))}, {name: LOCKED-USER, passcodeFile: /absent}, {name: NAMED-USER}]}
            """)
        let process = try await node.serve()
        defer { process.kill() }
        let identities: [(options: [String], isWelcome: Bool)] = try [
            (["-usr", "KNOWN-USER", "-pwd", "RIGHT-PASSCODE", "-rsp"], true), (["-usr", "NAMED-USER"], true), (["-usr", "KNOWN-USER", "-pwd", "WRONG-PASSCODE"], false),
            (["-usr", "LOCKED-USER", "-pwd", "OTHER-PASSCODE"], false), (["-usr", "STRANGE-USER", "-epw"], false),
            (["-kt", file("KERBEROS-TICKET")], true), (["--saml", file("SAML-ASSERTION")], true), (["--jwt", file("WEB-TOKEN")], true),
        ]
        for (identity, isWelcome) in identities {
            let sent = try runTool("storescu", identity + ["-aec", "MEDLSAM", "127.0.0.1", "\(node.port)"] + slices)
            #expect((sent.status == 0) == isWelcome, "\(identity): \(sent.output)")
        }
        _ = try await node.job("a job that fails") { $0.state == "failed" }
        let texts = try everythingSaid(by: node)
        #expect(texts.allSatisfy { !$0.isEmpty } && texts[5].contains("Association rejected") && texts[5].contains("/absent"), "all of it happened")
        for text in texts {
            for secret in ["-USER", "-PASSCODE", "-TICKET", "-ASSERTION", "-TOKEN"] { #expect(!text.contains(secret), "\(secret) in \(text.prefix(2000))") }
        }
    }

    @Test func doctorChecksAStoreThatRunsAndOneThatWasHarmed() async throws {
        #expect(try node.command("doctor", "--data").status == ExitStatus.cannotCreate.rawValue, "no node has run")
        #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "data").path))
        let process = try await node.serve()
        defer { process.kill() }
        #expect(try storescu(slices).status == 0)
        #expect(try node.command("doctor", "--data").status == 0)
        let instances = folder.appending(path: "data/instances")
        let file = try #require(FileManager.default.enumerator(at: instances, includingPropertiesForKeys: nil)?.allObjects.compactMap { $0 as? URL }.first { $0.pathExtension == "dcm" })
        #expect(truncate(file.path, 1000) == 0)
        let result = try node.command("doctor", "--data", "--json")
        #expect(result.status == ExitStatus.findings.rawValue)
        #expect(result.output.contains("\"problem\" : \"wrongSize\"") && result.output.contains(file.lastPathComponent), "\(result.output)")
    }

    @Test func aBrokenOrNewerDatabaseStopsTheStartWithItsReason() async throws {
        let process = try await node.serve()
        #expect(try storescu(slices).status == 0)
        #expect(process.terminate() == 0)
        let database = folder.appending(path: "data/node.sqlite")
        #expect(try runTool("sqlite3", [database.path, "PRAGMA journal_mode = DELETE"]).status == 0)
        let sound = try Data(contentsOf: database)
        #expect(try runTool("sqlite3", [database.path, "INSERT INTO grdb_migrations VALUES ('99 later')"]).status == 0)
        let newer = try node.command("serve")
        #expect(newer.status == ExitStatus.unusableInput.rawValue && newer.output.contains("later version"), "\(newer.output)")
        // Half of it; less than a page, which SQLite takes for a new database; and, as when the WAL is lost, no tables yet.
        for rest in [sound.prefix(sound.count / 2), sound.prefix(2000), Data()] {
            for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: database.path + suffix) }
            if rest.isEmpty { _ = try runTool("sqlite3", [database.path, "PRAGMA journal_mode = WAL"]) } else { try rest.write(to: database) }
            let before = try Data(contentsOf: database)
            let broken = try node.command("serve")
            #expect(broken.status == ExitStatus.unusableInput.rawValue && broken.output.contains("is damaged"), "\(broken.output)")
            #expect(try Data(contentsOf: database) == before)
        }
        #expect(try node.command("doctor", "--data").status == ExitStatus.unusableInput.rawValue)
    }

    @Test func withoutADatabaseTheFilesAreTakenInAgainThroughTheFrontDoor() async throws {
        // What docs/how-to/recover.md says about a database that is lost for good.
        var process = try await node.serve()
        #expect(try storescu(slices).status == 0)
        process.kill()
        // A start leaves nothing in the journal, which would be recorded without being sent.
        process = try await node.serve()
        process.kill()
        let data = folder.appending(path: "data")
        for name in ["node.sqlite", "node.sqlite-wal", "node.sqlite-shm"] { try? FileManager.default.removeItem(at: data.appending(path: name)) }
        let refused = try node.command("serve")
        #expect(refused.status == ExitStatus.cannotCreate.rawValue && refused.output.contains("is gone or empty"), "\(refused.output)")
        for path in [data.appending(path: "identity"), folder.appending(path: ".data.identity")] { try FileManager.default.removeItem(at: path) }
        process = try await node.serve()
        defer { process.kill() }
        let unrecorded = data.appending(path: "unrecorded").path
        let sent = try runTool(program("medlsam-node"), ["send", "127.0.0.1", "\(node.port)", "--call", "MEDLSAM", unrecorded])
        #expect(sent.status == 0 && sent.output.contains("6 of 6"), "\(sent.output)")
        _ = try await node.job("job of all slices") { $0.instances == 6 }
        #expect(try node.command("doctor", "--data").status == 0)
    }
}
