import DICOMCore
import DICOMImaging
import Foundation
import Logging
import MedLSAM
import NodeConfiguration
import NodeStore
import ServiceLifecycle
import Synchronization

/// Runs queued jobs, each in a process of its own.
struct WorkerService: Service {
    let store: Store
    let folder: DataFolder
    let watch: FolderWatch
    let configuration: Configuration
    let executable: URL
    var arguments = ["worker"]
    /// One a job that may run at a time; rung when a job was made.
    let alarms: [Alarm]
    /// Called when a job ended, for there may be results to deliver.
    let ended: @Sendable () -> Void
    let logger: Logger

    func run() async throws {
        let running = RunningWorkers()
        await withTaskCancellationOrGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                for (number, alarm) in alarms.enumerated() {
                    group.addTask {
                        await alarm.answer("worker \(number + 1)", logger: logger) {
                            // Without its folder every attempt would be lost, and what one wrote would land below a mount point.
                            while watch.admission().folder, let (ticket, process) = try running.start({ try store.claimJob(alive: $0, at: Date()) }) {
                                defer { running.end(ticket.id) }
                                try run(ticket, in: process)
                                ended()
                            }
                            return nil
                        }
                    }
                }
            }
        } onCancelOrGracefulShutdown: {
            running.stop()
        }
    }

    /// Runs one attempt and records how it ended; blocks.
    func run(_ ticket: JobTicket, in process: WorkerProcess) throws {
        logger.info("Job \(ticket.id) starts: attempt \(ticket.attempt), series \(ticket.seriesInstanceUID), \(ticket.paths.count) instances.")
        let outcome: JobOutcome
        do {
            outcome = try attempt(ticket, in: process)
        } catch {
            outcome = .attemptLost(reason: "\(error)")
        }
        let state = try store.finish(job: ticket.id, outcome, at: Date())
        let reason = try store.job(ticket.id).summary.reason
        logger.log(level: state == .succeeded ? .info : .warning, "Job \(ticket.id) is \(state.rawValue)\(reason.map { ": \($0)" } ?? ".")")
    }

    private func attempt(_ ticket: JobTicket, in process: WorkerProcess) throws -> JobOutcome {
        let manager = FileManager.default
        // The attempt's number keeps a worker that outlives its node for a moment out of the next one's folder.
        let part = folder.results.appending(path: "\(ticket.id).\(ticket.attempt).part")
        try? manager.removeItem(at: part)
        try manager.createDirectory(at: part, withIntermediateDirectories: false)
        defer { try? manager.removeItem(at: part) }
        let specifications = configuration.specifications
        let request = WorkerRequest(
            inputs: ticket.paths.map { folder.root.appending(path: $0).path }, output: part.path, templateSet: ticket.templateSet,
            method: ContouringMethod(configuration.contouring), models: ModelFolders(configuration.models), threads: configuration.contouring.threads,
            deviceSerialNumber: configuration.aeTitle.string, contentDate: ticket.created, specifications: specifications,
            replaces: ticket.replaces.compactMap(replaced))
        let ending = try process.run(
            executable: executable, arguments: arguments, request: request, timeout: configuration.contouring.timeoutMinutes * 60,
            progress: { [logger] stage, fraction in logger.debug("Job \(ticket.id): \(stage) \(Int(fraction * 100)) %") })
        switch ending {
        case .stopped: return .interrupted
        case .lost(let reason): return .attemptLost(reason: reason)
        case .said(.refused(let reason)): return .refused(reason: reason)
        case .said(.failed(let reason)): return .failed(reason: reason)
        case .said(.stumbled(let reason)): return .attemptLost(reason: reason)
        case .said(.progress): return .attemptLost(reason: "The worker ended without a result.")
        case .said(.finished(let report)):
            if let reason = report.withheldReason { return .withheld(reason: reason, report: NodeJSON.encode(report)) }
            let made = try match(report, with: specifications)
            if let reason = try objection(to: report, made, of: ticket, request, in: part) { return .failed(reason: reason) }
            let results = try accept(report, made, of: ticket, in: part)
            return .succeeded(results: results, deliveries: configuration.deliveries(of: made), report: NodeJSON.encode(report))
        }
    }

    /// What the new objects say of one that they replace; nil, with a word in the log, when it cannot be read any more.
    private func replaced(_ result: NewResult) -> ReplacedObject? {
        let dataSet = try? DataSet(contentsOf: folder.root.appending(path: result.path).path, stoppingBefore: .studyID)
        guard let dataSet, let sopClass = dataSet.uid(.sopClassUID), let instance = dataSet.uid(.sopInstanceUID), let series = dataSet.uid(.seriesInstanceUID) else {
            logger.warning("\(result.path) cannot be read: what replaces it will not name it.")
            return nil
        }
        guard let kind = ResultKind(rawValue: result.kind) else { return nil }
        return ReplacedObject(
            kind: kind, specification: try? result.specification.map { try NodeJSON.decode(ResultSpecification.self, from: $0) },
            sopClassUID: sopClass, sopInstanceUID: instance, seriesInstanceUID: series)
    }

    /// What each reported object was made by; throws unless everything that was asked for is there.
    private func match(_ report: JobReport, with asked: [ResultSpecification]) throws -> [ResultSpecification] {
        let made = try report.objects.map { object in
            guard let index = object.specification, asked.indices.contains(index), object.kind == asked[index].kind.rawValue else {
                throw NodeError(.worker, "The worker reported an object that nobody asked for: \(object.kind), \(object.file).")
            }
            guard !object.file.contains("/") else { throw NodeError(.worker, "The worker reported a file that is none of its own: \(object.file).") }
            return asked[index]
        }
        if let missing = asked.first(where: { !made.contains($0) }) { throw NodeError(.worker, "The worker made no \(missing.name).") }
        return made
    }

    /// Why the objects must not be sent, by the node's own reading; nil when they may. Then they are kept for a person to look at.
    private func objection(
        to report: JobReport, _ specifications: [ResultSpecification], of ticket: JobTicket, _ request: WorkerRequest, in part: URL
    ) throws -> String? {
        let check = try ObjectCheck(sourcePaths: request.inputs, replaces: request.replaces)
        guard check.studyInstanceUID == ticket.studyInstanceUID, check.seriesInstanceUID == ticket.seriesInstanceUID,
              PatientIdentity(rawValue: patientDigest(of: check.sourceHeader)).isSame(as: PatientIdentity(rawValue: ticket.patientDigest)) else {
            throw NodeError(.worker, "The files of job \(ticket.id) are of another patient, study or series than was recorded.")
        }
        do {
            try check.verify(zip(report.objects, specifications).map { object, specification in
                ObjectCheck.Object(
                    path: part.appending(path: object.file).path, kind: specification.kind, sopClassUID: object.sopClassUID, sopInstanceUID: object.sopInstanceUID)
            })
            return nil
        } catch {
            guard error.code == .unsound else { throw error }
            try FileManager.default.createDirectory(at: folder.rejected, withIntermediateDirectories: true)
            let place = folder.rejected.appending(path: "\(ticket.id)")
            try? FileManager.default.removeItem(at: place)
            guard rename(part.path, place.path) == 0 else { throw NodeError(.worker, "\(place.path) cannot be made: \(systemReason()).") }
            return "\(error.message) No object of the job was sent; they are kept in rejected/\(ticket.id)."
        }
    }

    /// Makes the objects durable in their final folder.
    private func accept(_ report: JobReport, _ specifications: [ResultSpecification], of ticket: JobTicket, in part: URL) throws -> [NewResult] {
        let place = folder.results.appending(path: "\(ticket.id)")
        let results = try zip(report.objects, specifications).map { object, specification in
            NewResult(
                kind: object.kind, name: specification.name, specification: NodeJSON.encode(specification), sopClassUID: object.sopClassUID, sopInstanceUID: object.sopInstanceUID,
                path: "results/\(ticket.id)/\(object.file)", digest: try dataSetDigest(ofFile: part.appending(path: object.file).path))
        }
        for name in try FileManager.default.contentsOfDirectory(atPath: part.path) { try makeDurable(part.appending(path: name)) }
        try makeDurable(part)
        // A folder is there when the node was stopped between this move and the rows that tell of it.
        try? FileManager.default.removeItem(at: place)
        guard rename(part.path, place.path) == 0 else { throw NodeError(.worker, "\(place.path) cannot be made: \(systemReason()).") }
        try makeDurable(folder.results)
        return results
    }
}

/// The workers that run at this time, by job.
private final class RunningWorkers: Sendable {
    /// Nil once the node stops.
    private let workers = Mutex<[Int64: WorkerProcess]?>([:])

    /// Claims a job, given those that run, and makes its worker; nil when none waits or no more are to be started.
    func start(_ claim: (Set<Int64>) throws -> JobTicket?) throws -> (JobTicket, WorkerProcess)? {
        try workers.withLock { workers in
            guard let running = workers, let ticket = try claim(Set(running.keys)) else { return nil }
            let process = WorkerProcess()
            workers?[ticket.id] = process
            return (ticket, process)
        }
    }

    func end(_ job: Int64) { _ = workers.withLock { $0?.removeValue(forKey: job) } }

    func stop() {
        workers.withLock { workers in
            workers?.values.forEach { $0.stop() }
            workers = nil
        }
    }
}
