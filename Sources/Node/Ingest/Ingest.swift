import DICOMCore
import DICOMImaging
import DICOMNetwork
import Foundation
import Logging
import NodeConfiguration
import NodeStore

/// Takes received instances in: each survives a power cut before success is answered, one whose UID is new as a file and a record in the
/// journal, any other in its place and in the database.
final class Ingest: StorageHandler {
    private let folder: DataFolder
    private let store: Store
    private let watch: FolderWatch
    private let intake: Intake
    private let conflicts: ConflictPolicy
    /// Called when an association ended: a series whose instances still arrive is not decided about.
    private let arrived: @Sendable () -> Void
    private let logger: Logger
    private let patients = PatientDigests()
    /// Tells this run's associations from those of runs before.
    private let run = UUID().uuidString

    init(
        folder: DataFolder, store: Store, watch: FolderWatch, conflicts: ConflictPolicy, logger: Logger, arrived: @escaping @Sendable () -> Void
    ) throws {
        self.folder = folder
        self.store = store
        self.watch = watch
        self.conflicts = conflicts
        self.logger = logger
        self.arrived = arrived
        intake = try Intake(folder: folder, store: store, logger: logger)
    }

    deinit { intake.stop() }

    func accepts(_ association: AssociationInfo) -> AssociationRejection? {
        watch.admission().associations ? nil : .temporaryCongestion
    }

    func destination(of request: StoreRequest, on association: AssociationInfo) -> StoreDestination {
        guard watch.admission().instances else { return .refuse(.outOfResources) }
        do { return .file(Arrival(request, at: try intake.files.take(), on: association, into: self)) } catch {
            logger.error("Instance \(request.sopInstanceUID) from \(association.callingAETitle) cannot be kept: \(error)")
            return .refuse(.outOfResources)
        }
    }

    /// One instance on its way in.
    private final class Arrival: ArrivingInstance {
        let path: String
        private let request: StoreRequest
        private let association: AssociationInfo
        private let ingest: Ingest
        private var description: Result<InstanceDescription, any Error>?

        init(_ request: StoreRequest, at path: String, on association: AssociationInfo, into ingest: Ingest) {
            (self.request, self.path, self.association, self.ingest) = (request, path, association, ingest)
        }

        func began(with header: DataSet) { description = Result { try InstanceDescription(header, ingest.patients) } }

        func stored(in file: ReceivedFile) -> DIMSEStatus {
            ingest.stored(request, in: file, on: association) { try self.description?.get() ?? InstanceDescription(file.header(), self.ingest.patients) }
        }

        func discarded() {
            ingest.logger.warning(
                "Instance \(request.sopInstanceUID) from \(association.callingAETitle) broke off and does not count as received.")
        }
    }

    private func stored(
        _ request: StoreRequest, in file: ReceivedFile, on association: AssociationInfo, describedBy description: () throws -> InstanceDescription
    ) -> DIMSEStatus {
        do {
            return try takeIn(request, described: description(), in: file, on: association)
        } catch {
            unlink(file.path)
            return status(of: request, on: association, after: error)
        }
    }

    /// What is answered where an instance could not be taken in.
    private func status(of request: StoreRequest, on association: AssociationInfo, after error: any Error) -> DIMSEStatus {
        do { throw error } catch where !watch.admission().folder {
            logger.error("Instance \(request.sopInstanceUID) from \(association.callingAETitle) cannot be kept: \(error)")
            return .outOfResources
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

    func ended(_ association: AssociationInfo, released: Bool) {
        do { try store.associationEnded(key(association), released ? .released : .aborted, at: Date()) } catch {
            // The store tries again whenever the series in progress are looked at.
            logger.error("The end of association \(association.id) cannot be recorded: \(error)")
        }
        arrived()
    }

    private func key(_ association: AssociationInfo) -> String { "\(run)/\(association.id)" }

    private func takeIn(
        _ request: StoreRequest, described description: InstanceDescription, in file: ReceivedFile, on association: AssociationInfo
    ) throws -> DIMSEStatus {
        let header = description.header
        guard header.sopInstanceUID == request.sopInstanceUID, header.sopClassUID == request.sopClassUID else {
            throw NodeError(.mismatch, "its data set is instance \(header.sopInstanceUID) of class \(header.sopClassUID).")
        }
        let uid = header.sopInstanceUID.string
        let instance = ReceivedInstance(
            sopInstanceUID: uid, sopClassUID: header.sopClassUID.string,
            transferSyntaxUID: request.transferSyntaxUID.string, seriesInstanceUID: header.seriesInstanceUID.string,
            studyInstanceUID: header.studyInstanceUID.string, patientDigest: description.patientDigest, digest: hexadecimal(file.digest), size: file.size,
            path: String(file.path.dropFirst(folder.root.path.count + 1)), header: description.json, refusal: Self.refusal(of: header))
        let record = AssociationRecord(
            key: key(association), callingAETitle: association.callingAETitle.string, calledAETitle: association.calledAETitle.string,
            peer: association.peerAddress)
        try intake.claim(uid)
        var isSettling = false
        defer { if !isSettling { intake.release(uid) } }
        isSettling = try !store.holds(uid)
            && intake.add(IntakeRecord(instance: instance, association: record, received: Date()), awaitFlush: file.awaitFlush)
        return try isSettling ? .success : takeAgain(instance, in: file, of: record, on: association)
    }

    /// Takes an instance in whose UID is known, or one that the journal cannot take.
    private func takeAgain(
        _ instance: ReceivedInstance, in file: ReceivedFile, of record: AssociationRecord, on association: AssociationInfo
    ) throws -> DIMSEStatus {
        let place = try folder.place(file.path, series: instance.seriesInstanceUID, sop: instance.sopInstanceUID, digest: instance.digest)
        place.folders.forEach(file.flush(folder:))
        let instance = instance.placed(at: place.path)
        let outcome = try store.record(instance, of: record, conflicts: conflicts, at: Date(), awaitFlush: file.awaitFlush)
        let name = "Instance \(instance.sopInstanceUID) from \(association.callingAETitle)"
        switch outcome {
        case .new: break
        case .known(let known, let size): try keepNewer(place.path, of: instance.size, for: known, of: size)
        case .restored(let deleted): logger.notice("\(name) is there again; retention had deleted it on \(deleted.formatted(.iso8601)).")
        case .replacement: logger.warning("\(name) came again with other content; the later one counts.")
        case .keptBehindFirst: logger.warning("\(name) came again with other content; the first one counts.")
        case .quarantined(let reason): logger.warning("\(name) is kept apart. \(reason)")
        case .refused:
            unlink(folder.root.appending(path: place.path).path)
            logger.warning("Refused \(name): another content has that SOP Instance UID.")
            return .duplicateSOPInstance
        }
        return .success
    }

    /// Of two files with the same data set keeps the new one, whose bytes are flushed: the older one's may be on their way, lost or cut short.
    private func keepNewer(_ new: String, of newSize: Int, for known: String, of knownSize: Int) throws {
        guard known != new else { return }
        let place = folder.root.appending(path: known)
        guard rename(folder.root.appending(path: new).path, place.path) == 0 else {
            throw NodeError(.dataFolder, "\(known) cannot be replaced: \(systemReason()).")
        }
        try makeDurable(place.deletingLastPathComponent())
        // The file meta information names the sender, and so may be longer or shorter.
        if newSize != knownSize { try store.replaced(fileAt: known, size: newSize) }
    }

    /// Why an instance makes no job; nil for a CT slice.
    static func refusal(of header: SliceHeader) -> String? {
        switch header.sopClassUID {
        case SOPClass.ctImageStorage, SOPClass.enhancedCTImageStorage, SOPClass.legacyConvertedEnhancedCTImageStorage:
            header.isLocalizer ? "Stored but not contoured: a CT localizer." : nil
        default: "Stored but not contoured: not CT but SOP class \(header.sopClassUID)."
        }
    }
}

/// What the database is told of an instance's header.
private struct InstanceDescription {
    let header: SliceHeader
    let json: Data
    let patientDigest: String

    init(_ dataSet: DataSet, _ patients: PatientDigests) throws {
        header = try SliceHeader(dataSet)
        json = try header.json()
        patientDigest = patients.digest(of: dataSet)
    }
}

/// Why an instance with that recorded header makes no job; nil when it can.
@Sendable public func contouringRefusal(_ header: Data) -> String? {
    guard let header = try? NodeJSON.decode(SliceHeader.self, from: String(decoding: header, as: UTF8.self)) else {
        return "Stored but not contoured: its record cannot be read."
    }
    return Ingest.refusal(of: header)
}

extension ConflictPolicy {
    init(_ setting: Configuration.Conflicts) {
        self = switch setting {
        case .keepFirst: .keepFirst
        case .keepLast: .keepLast
        case .refuse: .refuse
        }
    }
}
