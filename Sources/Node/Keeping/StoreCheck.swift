import Foundation
import NodeStore
import Synchronization

/// What a look at every file of a store found.
public struct StoreReport: Sendable, Codable {
    /// A file or row that is not as it should be.
    public struct Finding: Sendable, Codable, Hashable {
        public enum Problem: String, Sendable, Codable {
            case missing, notAFile, wrongSize, wrongContent, unreadable
            /// No row names it.
            case unrecorded
            /// Deleted on record, and still there.
            case notDeleted
            /// Acknowledged; a start could not record it and put it aside, and it was not sent in again.
            case notRecorded
        }
        public let problem: Problem
        /// Relative to the data folder.
        public let path: String
        /// Of the row; nil for an unrecorded file.
        public let sopInstanceUID: String?
    }

    public var instances = 0, results = 0
    /// Rows whose files retention has deleted, and those that an earlier start found gone.
    public var deleted = 0, lost = 0
    /// Instances that were acknowledged, are whole and wait for their rows.
    public var waiting = 0
    /// Files that earlier starts put aside in `unrecorded/`.
    public var setAside = 0
    /// What was read, in how long.
    public var bytes = 0, seconds = 0.0, megabytesPerSecond = 0.0
    public var findings: [Finding] = []
}

/// Holds every file of a data folder against its row, by digest; writes nothing, and may run beside a node.
public struct StoreCheck: Sendable {
    private let folder: DataFolder
    private let store: Store

    /// Rows that are read at a time, and then checked on all cores.
    private static let batch = 1024
    /// A file without a row that is younger may be on its way into the store.
    private let arrivalSeconds: Double

    /// Throws StoreError when the database is not there, damaged, or of another version.
    public init(_ folder: DataFolder, arrivalSeconds: Double = 60) throws {
        self.folder = folder
        self.arrivalSeconds = arrivalSeconds
        guard try folder.claim(creating: true, trying: true) else { throw NodeError(.dataFolder, "No node has run in \(folder.root.path) yet.") }
        store = try Store(reading: folder.root)
    }

    /// Reads everything; blocks. `progress` gets the number of rows that are done.
    public func run(progress: (Int) -> Void = { _ in }) throws -> StoreReport {
        let clock = ContinuousClock.now
        var report = StoreReport()
        // Files first: what a running node takes in meanwhile then has its row before it is looked for.
        try findUnrecorded(except: examineJournal(&report), &report)
        var last: Int64 = 0
        while case let rows = try store.instances(after: last, limit: Self.batch), let end = rows.last?.id {
            report.findings += try examine(rows, &report)
            last = end
            progress(report.instances + report.deleted + report.lost)
        }
        try examineResults(&report)
        report.findings += try Set(folder.unrecordedInstances().filter { try !store.holds($0.sopInstanceUID, digest: $0.digest) }.map {
            StoreReport.Finding(problem: .notRecorded, path: $0.path, sopInstanceUID: $0.sopInstanceUID)
        }).sorted { $0.path < $1.path }
        report.setAside = (try? FileManager.default.subpathsOfDirectory(atPath: folder.unrecorded.path).count { $0.hasSuffix(".dcm") }) ?? 0
        report.seconds = (ContinuousClock.now - clock) / .seconds(1)
        report.megabytesPerSecond = report.seconds > 0 ? Double(report.bytes) / 1e6 / report.seconds : 0
        return report
    }

    private func examine(_ rows: [StoredInstance], _ report: inout StoreReport) throws -> [StoreReport.Finding] {
        let present = rows.filter { $0.state != .missing }
        report.instances += present.count
        report.deleted += rows.count { $0.deleted != nil }
        report.lost += rows.count { $0.state == .missing && $0.deleted == nil }
        report.bytes += present.reduce(0) { $0 + $1.size }
        let suspects = Mutex<[StoredInstance]>([])
        DispatchQueue.concurrentPerform(iterations: rows.count) { index in
            if finding(rows[index]) != nil { suspects.withLock { $0.append(rows[index]) } }
        }
        // A running node may have moved or deleted a file since its row was read.
        return try suspects.withLock { $0 }.sorted { $0.id < $1.id }.compactMap { try store.instance($0.id).flatMap(finding) }
    }

    private func finding(_ row: StoredInstance) -> StoreReport.Finding? {
        guard row.state != .missing else {
            let isLeft = row.deleted != nil && FileManager.default.fileExists(atPath: folder.root.appending(path: row.path).path)
            return isLeft ? .init(problem: .notDeleted, path: row.path, sopInstanceUID: row.sopInstanceUID) : nil
        }
        return Self.problem(folder.condition(of: row)).map { .init(problem: $0, path: row.path, sopInstanceUID: row.sopInstanceUID) }
    }

    private static func problem(_ condition: FileCondition) -> StoreReport.Finding.Problem? {
        switch condition {
        case .intact: nil
        case .missing: .missing
        case .notAFile: .notAFile
        case .wrongSize: .wrongSize
        case .wrongContent: .wrongContent
        case .unreadable: .unreadable
        }
    }

    private func examineResults(_ report: inout StoreReport) throws {
        for result in try store.results() {
            report.results += 1
            var status = stat()
            let isThere = lstat(folder.root.appending(path: result.path).path, &status) == 0
            report.bytes += isThere ? Int(status.st_size) : 0
            let condition = result.digest.map { folder.condition(of: result.path, size: nil, digest: $0) } ?? (isThere ? .intact : .missing)
            guard let problem = Self.problem(condition) else { continue }
            report.findings.append(.init(problem: problem, path: result.path, sopInstanceUID: result.sopInstanceUID))
        }
    }

    /// Looks at what has a record in the journal and no row; returns the places that the files of these have, or will get.
    private func examineJournal(_ report: inout StoreReport) throws -> Set<String> {
        var places: Set<String> = []
        for record in try IntakeJournal.records(in: folder) {
            let instance = record.instance, condition = folder.condition(ofFileOf: record)
            // One that is not whole is on its way, or broke off: it was not acknowledged. The row is asked for last: beside a running node a file goes
            // from under the look at it, but only once its row is there.
            guard [.intact, .unreadable].contains(condition), try !store.holds(instance.sopInstanceUID, digest: instance.digest) else { continue }
            if condition == .unreadable { report.findings.append(.init(problem: .unreadable, path: instance.path, sopInstanceUID: instance.sopInstanceUID)) }
            places.formUnion(folder.places(of: instance).map { "\($0.folder)/\($0.name)" })
            report.waiting += 1
            report.bytes += instance.size
        }
        return places
    }

    private func findUnrecorded(except waiting: Set<String>, _ report: inout StoreReport) throws {
        let files = try folder.instanceFiles().subtracting(waiting).sorted()
        let known = try store.recorded(among: files)
        for path in files where !known.contains(path) {
            var status = stat()
            // Gone again: the node took it in under another name, or refused it.
            guard lstat(folder.root.appending(path: path).path, &status) == 0 else { continue }
            let age = Date().timeIntervalSince1970 - Double(status.st_ctim.tv_sec)
            if age < arrivalSeconds { continue }
            report.findings.append(.init(problem: .unrecorded, path: path, sopInstanceUID: nil))
        }
    }
}
