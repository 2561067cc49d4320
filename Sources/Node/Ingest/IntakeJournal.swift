import Crypto
import Foundation
import NodeStore
import Synchronization

/// A durable list of instances that were received and have no rows yet: `intake.journal` in the data folder.
///
/// A record has a slot of its own, which one system call writes and flushes, so that any number of threads do so side by side. A slot is
/// written over once the row of its record is there; a record with a row is therefore one that is done with.
final class IntakeJournal: Sendable {
    /// Bytes of a slot: what a disk writes whole or not, and more than the record of a CT slice has.
    static let slotSize = 4096
    static let slotCount = 512
    private static let mark = Array("MLSAMREC".utf8)
    /// Mark, length and SHA-256 of the record.
    private static let headerSize = mark.count + 4 + SHA256.byteCount

    private let path: String
    private let descriptor: Int32
    private let free = Mutex(Array(0..<slotCount))

    /// Opens that of a prepared folder, of which every slot may be written over. Throws `dataFolder`.
    init(in folder: DataFolder) throws {
        path = folder.journal.path
        descriptor = open(path, O_WRONLY | O_CLOEXEC | O_DSYNC)
        guard descriptor >= 0 else { throw NodeError(.dataFolder, "\(path) cannot be opened: \(systemReason()).") }
    }

    deinit { close(descriptor) }

    /// Makes the file, or lengthens one that was cut off, so that it has its room on the disk for good; keeps what is in it. Throws `dataFolder`.
    static func prepare(in folder: DataFolder) throws {
        let path = folder.journal.path, file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_DSYNC, 0o640)
        defer { if file >= 0 { close(file) } }
        let size = file < 0 ? -1 : Int(lseek(file, 0, SEEK_END)), missing = slotCount * slotSize - size
        guard size >= 0 else { throw NodeError(.dataFolder, "\(path) cannot be made: \(systemReason()).") }
        if missing > 0 { try put([UInt8](repeating: 0, count: missing), at: size, into: file, path) }
    }

    /// Forgets all that is in it. Throws `dataFolder`.
    static func empty(in folder: DataFolder) throws {
        let journal = try IntakeJournal(in: folder)
        try put([UInt8](repeating: 0, count: slotCount * slotSize), at: 0, into: journal.descriptor, journal.path)
    }

    /// Writes a record; returns its slot once it is on stable storage, nil where it does not fit or none is free. Throws `dataFolder`.
    func write(_ record: IntakeRecord) throws -> Int? {
        let body = record.bytes
        guard Self.headerSize + body.count <= Self.slotSize, let slot = free.withLock({ $0.popLast() }) else { return nil }
        let length = withUnsafeBytes(of: UInt32(body.count).littleEndian, Array.init)
        do { try put(slot, Self.mark + length + Array(SHA256.hash(data: body)) + body) } catch {
            release([slot])
            throw error
        }
        return slot
    }

    /// Lets slots be written over whose records have rows.
    func release(_ slots: [Int]) { free.withLock { $0 += slots } }

    /// Takes a record back.
    func clear(_ slot: Int) throws {
        defer { release([slot]) }
        try put(slot, [])
    }

    private func put(_ slot: Int, _ bytes: [UInt8]) throws {
        try Self.put(bytes + [UInt8](repeating: 0, count: Self.slotSize - bytes.count), at: slot * Self.slotSize, into: descriptor, path)
    }

    private static func put(_ bytes: [UInt8], at offset: Int, into file: Int32, _ path: String) throws {
        var written: Int
        repeat { written = pwrite(file, bytes, bytes.count, off_t(offset)) } while written < 0 && errno == EINTR
        guard written == bytes.count else { throw NodeError(.dataFolder, "\(path) cannot be written: \(systemReason()).") }
    }

    /// What the run before wrote, with a row or without; what is not whole was never acknowledged. Throws `dataFolder` where one is of another version.
    static func records(in folder: DataFolder) throws -> [IntakeRecord] {
        let bytes: [UInt8]
        do { bytes = [UInt8](try Data(contentsOf: folder.journal)) } catch CocoaError.fileReadNoSuchFile { return [] }
        return try stride(from: 0, to: bytes.count, by: slotSize).compactMap { start in
            let slot = bytes[start..<min(start + slotSize, bytes.count)], header = slot.prefix(headerSize)
            guard header.count == headerSize, header.starts(with: mark) else { return nil }
            let length = header.dropFirst(mark.count).prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            let body = slot.dropFirst(headerSize).prefix(length)
            guard SHA256.hash(data: body).elementsEqual(header.suffix(SHA256.byteCount)) else { return nil }
            guard let record = IntakeRecord(bytes: body) else {
                throw NodeError(.dataFolder, "\(folder.journal.path) holds an acknowledged instance in a form that this version does not know: start the version that wrote it once more.")
            }
            return record
        }
    }
}

/// An instance that was received in whole, into a file in `incoming/`, and all that its row will say.
struct IntakeRecord: Sendable {
    /// Its path is the one in `incoming/`.
    let instance: ReceivedInstance
    let association: AssociationRecord
    let received: Date

    /// What its row is made of, as soon as it has its place.
    var arrival: Arrival { Arrival(instance, of: association, at: received) }

    /// Texts, none of which holds a NUL, each ended by one, and then the header.
    var bytes: [UInt8] {
        let texts = [
            instance.sopInstanceUID, instance.sopClassUID, instance.transferSyntaxUID, instance.seriesInstanceUID, instance.studyInstanceUID,
            instance.patientDigest, instance.digest, "\(instance.size)", instance.path, instance.refusal ?? "", association.key,
            association.callingAETitle, association.calledAETitle, association.peer, "\(received.timeIntervalSince1970)",
        ]
        return texts.flatMap { Array($0.utf8) + [0] } + instance.header
    }
}

extension IntakeRecord {
    init?(bytes: some Collection<UInt8>) {
        let parts = bytes.split(separator: 0, maxSplits: 15, omittingEmptySubsequences: false)
        let texts = parts.prefix(15).map { String(decoding: $0, as: UTF8.self) }
        guard parts.count == 16, let size = Int(texts[7]), let seconds = Double(texts[14]) else { return nil }
        instance = ReceivedInstance(
            sopInstanceUID: texts[0], sopClassUID: texts[1], transferSyntaxUID: texts[2], seriesInstanceUID: texts[3],
            studyInstanceUID: texts[4], patientDigest: texts[5], digest: texts[6], size: size, path: texts[8], header: Data(parts[15]),
            refusal: texts[9].isEmpty ? nil : texts[9])
        association = AssociationRecord(key: texts[10], callingAETitle: texts[11], calledAETitle: texts[12], peer: texts[13])
        received = Date(timeIntervalSince1970: seconds)
    }
}
