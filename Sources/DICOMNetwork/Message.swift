import CDCMTK
import DICOMCore

/// A DIMSE message (PS3.7 6.3) with its data set as bytes.
struct Message {
    var command: CommandSet
    var dataSet: [UInt8]?
    let presentationContextID: UInt8

    /// Longest data set taken into memory; a storage commitment request of 10,000 instances has 2 MB.
    static let longestDataSet = 16 << 20

    /// A message as it came.
    struct Received {
        let message: Message
        let transferSyntax: TransferSyntax
        /// The data set was too long and has been dropped.
        let isCut: Bool
    }

    var isResponse: Bool { (command[.commandField] ?? 0) & CommandSet.Field.response != 0 }

    /// Waits for a whole message.
    static func receive(on association: OpaquePointer, peer: String) throws(NetworkError) -> Received {
        var error = cdcmtk_error(), raw = cdcmtk_message()
        let result = cdcmtk_association_receive_message(association, longestDataSet, &raw, &error)
        guard result != 0 else { throw NetworkError(error, on: peer) }
        defer { cdcmtk_message_free(&raw) }
        guard let command = CommandSet(Array(UnsafeBufferPointer(start: raw.command, count: raw.command_length))),
              let transferSyntax = UID(text(raw.transfer_syntax)) else {
            throw NetworkError(.protocolViolation, "\(peer): a message without a readable command")
        }
        let dataSet = raw.data_set.map { Array(UnsafeBufferPointer(start: $0, count: raw.data_set_length)) }
        let message = Message(command: command, dataSet: dataSet, presentationContextID: raw.context)
        return Received(message: message, transferSyntax: TransferSyntax(transferSyntax), isCut: result == 2)
    }

    /// Sends it, with Command Data Set Type set as it is.
    func send(on association: OpaquePointer, peer: String) throws(NetworkError) {
        var command = command
        command[.dataSetType] = dataSet == nil ? CommandSet.Field.noDataSet : CommandSet.Field.dataSet
        var error = cdcmtk_error()
        var bytes = command.encoded, data = dataSet ?? []
        let count = (command: bytes.count, data: data.count)
        let sent = bytes.withUnsafeMutableBufferPointer { bytes in
            data.withUnsafeMutableBufferPointer { data in
                var raw = cdcmtk_message()
                raw.context = presentationContextID
                (raw.command, raw.command_length) = (bytes.baseAddress, count.command)
                if dataSet != nil { (raw.data_set, raw.data_set_length) = (data.baseAddress, count.data) }
                return cdcmtk_association_send_message(association, &raw, &error)
            }
        }
        guard sent != 0 else { throw NetworkError(error, on: peer) }
    }

    /// The response to this request.
    func response(_ answer: OperationAnswer) -> Message {
        var reply = CommandSet()
        reply[.commandField] = (command[.commandField] ?? 0) | CommandSet.Field.response
        reply[.messageIDBeingRespondedTo] = command[.messageID] ?? 0
        reply[.status] = answer.status.rawValue
        reply.set(.affectedSOPClassUID, command.text(.affectedSOPClassUID) ?? command.text(.requestedSOPClassUID))
        reply.set(.affectedSOPInstanceUID,
                  answer.sopInstanceUID?.string ?? command.text(.affectedSOPInstanceUID) ?? command.text(.requestedSOPInstanceUID))
        reply[.actionTypeID] = command[.actionTypeID]
        reply[.eventTypeID] = command[.eventTypeID]
        reply.set(.errorComment, answer.comment.map { String($0.prefix(64)) }, padding: 0x20)
        reply[.errorID] = answer.errorID
        return Message(command: reply, dataSet: nil, presentationContextID: presentationContextID)
    }

    /// N-EVENT-REPORT-RQ (PS3.7 10.3.1.1).
    static func eventReport(_ report: EventReport, messageID: UInt16, presentationContextID: UInt8, as syntax: TransferSyntax) throws -> Message {
        var command = CommandSet()
        command[.commandField] = CommandSet.Field.nEventReport
        command[.messageID] = messageID
        command.set(.affectedSOPClassUID, report.sopClassUID.string)
        command.set(.affectedSOPInstanceUID, report.sopInstanceUID.string)
        command[.eventTypeID] = report.eventTypeID
        return Message(command: command, dataSet: try report.dataSet.encoded(as: syntax), presentationContextID: presentationContextID)
    }

    /// The presentation context that was accepted for an abstract syntax; nil when there is none.
    static func context(of abstractSyntax: UID, on association: OpaquePointer) -> (id: UInt8, transferSyntax: TransferSyntax)? {
        var syntax = [CChar](repeating: 0, count: 65)
        let id = cdcmtk_association_context(association, abstractSyntax.string, &syntax)
        guard id != 0, let uid = UID(String(decoding: syntax.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)) else { return nil }
        return (UInt8(id), TransferSyntax(uid))
    }
}
