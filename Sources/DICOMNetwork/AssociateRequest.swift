import DICOMCore

/// An A-ASSOCIATE-RQ taken apart (PS3.8 9.3.2, PS3.7 D.3.3); what is not understood in it is passed over, as the standard says.
public struct AssociateRequest: Sendable {
    /// A presentation context that the peer proposes (PS3.8 9.3.2.2).
    public struct Context: Sendable {
        public let id: UInt8
        public let abstractSyntax: String
        public let transferSyntaxes: [String]
    }

    /// How many operations may be outstanding (PS3.7 D.3.3.3); 0 is any number.
    struct OperationsWindow: Equatable, Sendable {
        var invoked, performed: UInt16
    }

    /// Whether the peer wants to be SCU, SCP or both of a SOP class (PS3.7 D.3.3.4).
    struct Roles: Equatable, Sendable {
        let scu, scp: Bool
    }

    /// What a SOP class is, by one who knows it (PS3.7 D.3.3.6).
    struct CommonExtended: Equatable, Sendable {
        let serviceClass: String
        let relatedGeneralClasses: [String]
    }

    /// Who uses the peer (PS3.7 D.3.3.7).
    struct Identity: Equatable, Sendable {
        /// 1 user name, 2 user name and passcode, 3 Kerberos, 4 SAML, 5 JSON web token.
        let type: UInt8
        let isResponseRequested: Bool
        let primary, secondary: [UInt8]
    }

    let protocolVersion: UInt16
    let called, calling: String
    private(set) var applicationContext = ""
    public private(set) var contexts: [Context] = []
    private(set) var window: OperationsWindow?
    private(set) var roles: [String: Roles] = [:]
    /// SOP Class Extended Negotiation: the service class application information of each SOP class (PS3.7 D.3.3.5).
    private(set) var extended: [(sopClass: String, information: [UInt8])] = []
    private(set) var commonExtended: [String: CommonExtended] = [:]
    private(set) var identity: Identity?

    /// Reads a whole PDU; nil when its items do not fit into each other, it has no contexts or two of one number,
    /// or one that lacks an abstract or a transfer syntax.
    init?(pdu: UnsafeRawBufferPointer) {
        var fixed = Reader(pdu)
        guard fixed.skip(6), let version = fixed.number(2), fixed.skip(2), let called = fixed.take(16), let calling = fixed.take(16), fixed.skip(32)
        else { return nil }
        (protocolVersion, self.called, self.calling) = (UInt16(version), called.text, calling.text)
        while !fixed.isEmpty {
            guard let (type, item) = fixed.item() else { return nil }
            switch type {
            case 0x10: applicationContext = item.text
            case 0x20: guard readContext(item) else { return nil }
            case 0x50: guard readUserInformation(item) else { return nil }
            default: break
            }
        }
        guard !contexts.isEmpty, Set(contexts.map(\.id)).count == contexts.count else { return nil }
    }

    private mutating func readContext(_ item: Reader) -> Bool {
        var item = item
        guard let id = item.number(1), item.skip(3) else { return false }
        var abstract = "", transfer: [String] = []
        while !item.isEmpty {
            guard let (type, inner) = item.item() else { return false }
            if type == 0x30 { abstract = inner.text }
            if type == 0x40 { transfer.append(inner.text) }
        }
        guard !abstract.isEmpty, !transfer.isEmpty else { return false }
        contexts.append(Context(id: UInt8(id), abstractSyntax: abstract, transferSyntaxes: transfer))
        return true
    }

    private mutating func readUserInformation(_ item: Reader) -> Bool {
        var item = item
        while !item.isEmpty {
            guard let (type, inner) = item.item() else { return false }
            var sub = inner
            switch type {
            case 0x53:
                guard let invoked = sub.number(2), let performed = sub.number(2) else { return false }
                window = OperationsWindow(invoked: UInt16(invoked), performed: UInt16(performed))
            case 0x54:
                guard let uid = sub.string(), let scu = sub.number(1), let scp = sub.number(1) else { return false }
                roles[uid] = Roles(scu: scu == 1, scp: scp == 1)
            case 0x56:
                guard let uid = sub.string() else { return false }
                extended.append((uid, sub.rest))
            case 0x57:
                guard let uid = sub.string(), let service = sub.string(), var related = sub.sized() else { return false }
                var classes: [String] = []
                while !related.isEmpty {
                    guard let one = related.string() else { return false }
                    classes.append(one)
                }
                commonExtended[uid] = CommonExtended(serviceClass: service, relatedGeneralClasses: classes)
            case 0x58:
                guard let kind = sub.number(1), let asks = sub.number(1), let primary = sub.sized(), let secondary = sub.sized() else { return false }
                identity = Identity(type: UInt8(kind), isResponseRequested: asks == 1, primary: primary.rest, secondary: secondary.rest)
            default: break
            }
        }
        return true
    }
}

/// Bytes that are taken from the front, never beyond their end.
private struct Reader {
    private var bytes: UnsafeRawBufferPointer.SubSequence

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes[...] }
    private init(_ bytes: UnsafeRawBufferPointer.SubSequence) { self.bytes = bytes }

    var isEmpty: Bool { bytes.isEmpty }
    var rest: [UInt8] { Array(bytes) }
    /// Without the padding that titles have and sloppy UIDs, too.
    var text: String {
        let trimmed = bytes.drop { $0 == 0x20 }.reversed().drop { $0 == 0x20 || $0 == 0 }.reversed()
        return String(decoding: trimmed, as: UTF8.self)
    }

    mutating func take(_ count: Int) -> Reader? {
        guard count <= bytes.count else { return nil }
        defer { bytes = bytes.dropFirst(count) }
        return Reader(bytes.prefix(count))
    }

    mutating func skip(_ count: Int) -> Bool { take(count) != nil }
    /// A number of some bytes, big endian.
    mutating func number(_ count: Int) -> Int? { take(count)?.bytes.reduce(0) { $0 << 8 | Int($1) } }
    /// What a length of two bytes announces.
    mutating func sized() -> Reader? { number(2).flatMap { take($0) } }
    mutating func string() -> String? { sized()?.text }
    /// An item: its type, a reserved byte, its length and content.
    mutating func item() -> (type: UInt8, Reader)? {
        guard let type = number(1), skip(1), let content = sized() else { return nil }
        return (UInt8(type), content)
    }
}
