import DICOMCore
import DICOMImaging
import DICOMNetwork
import Foundation
import Logging
import NodeConfiguration
import NodeStore
import Synchronization

/// Takes received instances in: each is durable in its place and in the database before success is answered.
final class Ingest: StorageHandler {
    private let folder: DataFolder
    private let store: Store
    private let rules: Configuration.Receiving
    /// Called when an instance was recorded or an association ended.
    private let arrived: @Sendable () -> Void
    private let logger: Logger
    /// Tells this run's associations from those of runs before.
    private let run = UUID().uuidString
    private let diskIsFull = Mutex(false)

    init(folder: DataFolder, store: Store, rules: Configuration.Receiving, logger: Logger, arrived: @escaping @Sendable () -> Void) {
        self.folder = folder
        self.store = store
        self.rules = rules
        self.logger = logger
        self.arrived = arrived
    }

    func accepts(_ association: AssociationInfo) -> AssociationRejection? { nil }

    func destination(of request: StoreRequest, on association: AssociationInfo) -> StoreDestination {
        hasRoom() ? .file(folder.newIncomingFile()) : .refuse(.outOfResources)
    }

    func stored(_ request: StoreRequest, in file: ReceivedFile, on association: AssociationInfo) -> DIMSEStatus {
        // Gone already when all went well.
        defer { unlink(file.path) }
        do {
            try takeIn(request, in: file, on: association)
            return .success
        } catch let error as NodeError where error.code == .mismatch {
            logger.error("Refused instance \(request.sopInstanceUID) from \(association.callingAETitle): \(error)")
            return .dataSetDoesNotMatch
        } catch let error as NodeError where error.code == .dataFolder {
            logger.error("Instance \(request.sopInstanceUID) from \(association.callingAETitle) cannot be kept: \(error)")
            return .outOfResources
        } catch let error where error is NodeError || error is DICOMError || error is ImagingError {
            logger.error("Refused instance \(request.sopInstanceUID) from \(association.callingAETitle): \(error)")
            return .cannotUnderstand
        } catch {
            logger.error("Instance \(request.sopInstanceUID) from \(association.callingAETitle) cannot be recorded: \(error)")
            return .outOfResources
        }
    }

    func discarded(_ request: StoreRequest, at path: String, on association: AssociationInfo) {
        logger.warning("Instance \(request.sopInstanceUID) from \(association.callingAETitle) broke off and does not count as received.")
    }

    func ended(_ association: AssociationInfo, released: Bool) {
        do { try store.associationEnded(key(association), released ? .released : .aborted, at: Date()) } catch {
            // The series then waits until the next start, which ends all associations.
            logger.error("The end of association \(association.id) cannot be recorded: \(error)")
        }
        arrived()
    }

    private func key(_ association: AssociationInfo) -> String { "\(run)/\(association.id)" }

    private func takeIn(_ request: StoreRequest, in file: ReceivedFile, on association: AssociationInfo) throws {
        let dataSet = try file.header()
        let header = try SliceHeader(dataSet)
        guard header.sopInstanceUID == request.sopInstanceUID, header.sopClassUID == request.sopClassUID else {
            throw NodeError(.mismatch, "its data set is instance \(header.sopInstanceUID) of class \(header.sopClassUID).")
        }
        let digest = hexadecimal(file.digest)
        let place = try folder.place(
            file.path, series: header.seriesInstanceUID.string, sop: header.sopInstanceUID.string, digest: digest)
        let instance = ReceivedInstance(
            sopInstanceUID: header.sopInstanceUID.string, sopClassUID: header.sopClassUID.string,
            transferSyntaxUID: request.transferSyntaxUID.string, seriesInstanceUID: header.seriesInstanceUID.string,
            studyInstanceUID: header.studyInstanceUID.string, patientDigest: patientDigest(of: dataSet), digest: digest, size: file.size,
            path: place.path, header: Data(NodeJSON.encode(header).utf8), refusal: Self.refusal(of: header))
        let record = AssociationRecord(
            key: key(association), callingAETitle: association.callingAETitle.string, calledAETitle: association.calledAETitle.string,
            peer: association.peerAddress)
        switch try store.record(instance, of: record, directories: place.directories, at: Date(), flush: file.flush) {
        case .new: break
        case .known(let known):
            // The same data set: taking the place of the older file cannot lose anything, even if somebody removed that one.
            if known != place.path { rename(folder.root.appending(path: place.path).path, folder.root.appending(path: known).path) }
        case .replacement: logger.warning("Instance \(instance.sopInstanceUID) came again with other content; the later one counts.")
        case .quarantined(let reason): logger.warning("Instance \(instance.sopInstanceUID) is kept apart. \(reason)")
        }
        arrived()
    }

    /// Why an instance makes no job; nil for a CT slice.
    static func refusal(of header: SliceHeader) -> String? {
        switch header.sopClassUID {
        case SOPClass.ctImageStorage: header.isLocalizer ? "Stored but not contoured: a CT localizer." : nil
        case SOPClass.enhancedCTImageStorage, SOPClass.legacyConvertedEnhancedCTImageStorage:
            "Stored but not contoured: multi-frame CT (SOP class \(header.sopClassUID)) is not supported yet."
        default: "Stored but not contoured: not CT but SOP class \(header.sopClassUID)."
        }
    }

    /// Whether the disk is above the watermark; tells the log when that changes.
    private func hasRoom() -> Bool {
        let free: (bytes: Int64, percent: Double)
        do { free = try folder.freeSpace() } catch {
            logger.error("\(error)")
            return false
        }
        let isFull = !rules.hasRoom(free)
        let changed = diskIsFull.withLock { full in
            defer { full = isFull }
            return full != isFull
        }
        if changed, isFull {
            logger.error(
                """
                The disk of \(folder.root.path) has \(free.bytes >> 20) MB (\(Int(free.percent)) %) left, under the watermark of \
                \(rules.minimumFreeMegabytes) MB or \(rules.minimumFreePercent) %: C-STORE is answered 0xA700 until there is room.
                """)
        } else if changed {
            logger.notice("The disk of \(folder.root.path) has room again.")
        }
        return !isFull
    }
}

extension Configuration.Receiving {
    /// Whether a disk with that much free is above the watermark.
    func hasRoom(_ free: (bytes: Int64, percent: Double)) -> Bool {
        free.bytes >= Int64(minimumFreeMegabytes) << 20 && free.percent >= minimumFreePercent
    }
}
