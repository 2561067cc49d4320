import Foundation
import Logging
import NodeStore

/// Takes a data folder and brings it to terms with however the run before ended; blocks.
func open(_ folder: DataFolder, creating: Bool, logger: Logger) throws -> (Store, DataFolderLock) {
    try folder.claim(creating: creating)
    let lock = try DataFolderLock(folder)
    try folder.probe()
    let store = try Store(folder: folder.root, checking: true, existing: try folder.identity() != nil)
    try folder.prepare()
    let replayed = try folder.replayJournal(into: store, logger: logger)
    if replayed > 0 { logger.notice("Recorded \(replayed) instances that were acknowledged just before the node stopped.") }
    let halves = try folder.removeHalfFiles()
    if halves > 0 { logger.notice("Removed \(halves) half files: they were never acknowledged.") }
    let recovery = try store.recover(files: folder.files(), at: Date())
    if recovery.lostAssociations > 0 { logger.notice("\(recovery.lostAssociations) associations had not ended when the node stopped.") }
    if recovery.interruptedJobs > 0 { logger.notice("\(recovery.interruptedJobs) jobs were running when the node stopped; each lost an attempt.") }
    try reconcile(folder, with: store, recovery, logger: logger)
    try folder.removeEmptyFolders()
    return (store, lock)
}

/// Settles what rows and files do not agree about, and says what it found.
private func reconcile(_ folder: DataFolder, with store: Store, _ recovery: Recovery, logger: Logger) throws {
    let (files, folders) = (recovery.unfinishedDeletions.filter { $0.hasPrefix("instances/") }, recovery.unfinishedDeletions.filter { !$0.hasPrefix("instances/") })
    try folder.remove(files, folders: folders)
    if !recovery.unfinishedDeletions.isEmpty { logger.notice("Finished \(recovery.unfinishedDeletions.count) deletions that the run before had begun.") }
    for instance in recovery.unsettled {
        let condition = folder.condition(of: instance)
        guard condition != .intact, condition != .missing else { continue }
        guard condition != .unreadable else {
            logger.error("\(instance.path) cannot be read: doctor --data tells when it can again.")
            continue
        }
        try store.lose(instance)
        let place = try folder.setAside(instance.path)
        logger.warning("\(instance.path) was not whole when the node stopped (\(condition.rawValue)), never acknowledged, and was moved to \(place).")
    }
    for instance in recovery.returnedFiles {
        let condition = folder.condition(of: instance)
        if condition == .intact {
            try store.restore(instance)
            logger.notice("\(instance.path) was gone and is there again.")
        } else {
            logger.error("\(instance.path) was gone; the file there now is not what was received (\(condition.rawValue)).")
        }
    }
    for path in recovery.missingFiles { logger.error("\(path) is recorded but gone; the instance must be sent again.") }
    for path in recovery.missingResults { logger.error("\(path) is recorded but gone; it cannot be delivered.") }
    for path in recovery.unrecordedFiles {
        let place = try folder.setAside(path)
        logger.warning("\(path) had no record and was moved to \(place).")
    }
}
