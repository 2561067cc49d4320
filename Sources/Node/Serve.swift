import DICOMCore
import DICOMNetwork
import Foundation
import Logging
import NodeConfiguration
import NodeStore
import ServiceLifecycle

/// Receives, contours and delivers until SIGTERM or SIGINT.
///
/// `executable` is run as `executable worker` for each job. `onReady` gets the port once associations are accepted.
/// Throws when the data folder cannot be used or the port cannot be listened on; a missing model only fails jobs.
public func serve(
    _ configuration: Configuration, executable: URL, logger: Logger, onReady: @escaping @Sendable (Int) -> Void = { _ in }
) async throws {
    // A peer or worker that goes away while it is written to is an error value, not the end of the node.
    signal(SIGPIPE, SIG_IGN)
    Toolkit.shareHeaps()
    let folder = DataFolder(configuration.dataDirectory)
    guard let (store, lock) = try await openOnceThereIsRoom(folder, configuration, logger: logger) else { return logger.notice("Stopped.") }
    let watch = try FolderWatch(folder, configuration, logger: logger)
    // Beside the services: reading the weights for their digests takes seconds, and no association shall wait for it.
    async let _ = warnOfWhatIsMissing(configuration, logger: logger)
    for check in Doctor.accessChecks(configuration) where check.state != .ok { logger.warning("\(check.name): \(check.message)") }

    let assembly = Alarm()
    let workers = (0..<configuration.contouring.concurrentJobs).map { _ in Alarm() }
    let outboxes = configuration.destinations.map { _ in Alarm() }
    let ingest = try Ingest(
        folder: folder, store: store, watch: watch, conflicts: ConflictPolicy(configuration.receiving.conflicts), logger: logger
    ) { assembly.ring() }
    let commitments = (CommitmentService.callable(configuration).map { _ in Alarm() }) + [Alarm()]
    let commitment = StorageCommitment(store: store, folder: folder, configuration: configuration, logger: logger) {
        commitments.forEach { $0.ring() }
    }
    let provider = StorageSCP(
        configuration: configuration.storageSCP, handler: Gate(configuration, before: ingest, logger: logger),
        services: [
            commitment, PerformedProcedureSteps(store: store, announced: { assembly.ring() }, logger: logger),
            InstanceAvailability(store: store, announced: { assembly.ring() }, logger: logger),
        ],
        logger: logger)
    // They are stopped in reverse: no more input first, deliveries last.
    let services: [any Service] = [
        KeepingService(store: store, folder: folder, watch: watch, rule: RetentionRule(configuration.retention), logger: logger),
        DeliveryService(
            store: store, folder: folder, configuration: configuration, send: DeliveryService.network(configuration), alarms: outboxes,
            logger: logger),
        CommitmentService(commitment: commitment, send: CommitmentService.network(configuration), alarms: commitments),
        WorkerService(
            store: store, folder: folder, watch: watch, configuration: configuration, executable: executable, alarms: workers,
            ended: {
                outboxes.forEach { $0.ring() }
                // A refused one may have been the best of several.
                assembly.ring()
            }, logger: logger),
        AssemblyService(store: store, configuration: configuration, alarm: assembly, queued: { workers.forEach { $0.ring() } }, logger: logger),
        CertificateService(provider: provider),
        ReceivingService(provider: provider, onReady: onReady),
    ]
    // At debug the group writes each service out, and with it the whole configuration, names of users included.
    var groupLogger = logger
    groupLogger.logLevel = max(logger.logLevel, .info)
    let group = ServiceGroup(
        configuration: .init(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: groupLogger))
    try await group.run()
    withExtendedLifetime(lock) {}
    logger.notice("Stopped.")
}

/// Receiving goes on without models; whoever reads the log shall know why nothing will be contoured.
private func warnOfWhatIsMissing(_ configuration: Configuration, logger: Logger) async {
    let checks = (try? await onOwnThread("check") { Doctor.contouringChecks(configuration) }) ?? []
    for check in checks where check.state != .ok { logger.error("Nothing will be contoured: \(check.message) \(check.whatToDo ?? "")") }
}
