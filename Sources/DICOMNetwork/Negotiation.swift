import CDCMTK
import DICOMCore

/// What the node answers to an association request that it accepts (PS3.8 9.3.3, PS3.7 D.3).
struct AssociateAnswer: Sendable {
    /// What becomes of a proposed presentation context.
    struct Context: Sendable {
        let id: UInt8
        let abstractSyntax: String
        let result: Result
        /// Nil when refused.
        let transferSyntax: String?
        let isStorage: Bool
    }

    /// PS3.8 table 9-18.
    enum Result: UInt8, Sendable {
        case acceptance = 0, abstractSyntaxNotSupported = 3, transferSyntaxesNotSupported = 4
    }

    var contexts: [Context]
    /// Sub-items for the user information, one after the other.
    var userItems: [UInt8]
}

/// Decides on presentation contexts and the sub-items of user information.
struct Negotiator: Sendable {
    /// Abstract syntaxes beside Verification and storage.
    let services: Set<String>
    /// Whether storage SOP classes are taken that are not the standard's.
    let takesPrivateSOPClasses: Bool

    /// Operations that a peer may have outstanding. They are performed in their order; what is sent ahead waits in the connection.
    private static let mostOutstanding: UInt16 = 16
    /// The Storage Service Class (PS3.6 table A-1).
    private static let storageService = "1.2.840.10008.4.2"
    /// The storage branch of the standard's UIDs: also classes that are newer than the toolkit.
    private static let storageBranch = "1.2.840.10008.5.1.4.1.1."
    private static let standardRoot = "1.2.840.10008."
    /// Level 2 (full) storage, bit-preserving and so level 3 of digital signatures, no coercion (PS3.4 table B.3-2).
    private static let storageInformation: [UInt8] = [2, 0, 3, 0, 0, 0]

    func answer(_ request: AssociateRequest, isUserRecognized: Bool) -> AssociateAnswer {
        let contexts = request.contexts.map { answer($0, of: request) }
        let accepted = Set(contexts.filter { $0.result == .acceptance }.map(\.abstractSyntax))
        var items: [UInt8] = []
        if let window = request.window {
            let invoked = window.invoked == 0 ? Self.mostOutstanding : min(window.invoked, Self.mostOutstanding)
            items += item(0x53, [UInt8(invoked >> 8), UInt8(invoked & 0xFF), 0, 1])
        }
        for (uid, roles) in request.roles.sorted(by: { $0.key < $1.key }) where accepted.contains(uid) {
            items += item(0x54, sized(Array(uid.utf8)) + [roles.scu ? 1 : 0, 0])
        }
        for (uid, information) in request.extended where accepted.contains(uid) && isStorage(uid, request) {
            items += item(0x56, sized(Array(uid.utf8)) + Self.storageInformation.prefix(information.count))
        }
        if isUserRecognized, request.identity?.isResponseRequested == true { items += item(0x59, sized([])) }
        return AssociateAnswer(contexts: contexts, userItems: items)
    }

    private func answer(_ context: AssociateRequest.Context, of request: AssociateRequest) -> AssociateAnswer.Context {
        let (uid, offered) = (context.abstractSyntax, context.transferSyntaxes.filter { UID($0) != nil })
        let isStorage = isStorage(uid, request)
        func result(_ result: AssociateAnswer.Result, _ syntax: String? = nil) -> AssociateAnswer.Context {
            AssociateAnswer.Context(id: context.id, abstractSyntax: uid, result: result, transferSyntax: syntax, isStorage: isStorage)
        }
        let chosen: String?
        if services.contains(uid) {
            // Such data sets are decoded here.
            chosen = [TransferSyntax.explicitVRLittleEndian, .implicitVRLittleEndian].map(\.uid.string).first(where: offered.contains)
        } else if uid == SOPClass.verification.string || isStorage {
            chosen = offered.first
        } else {
            return result(.abstractSyntaxNotSupported)
        }
        return chosen.map { result(.acceptance, $0) } ?? result(.transferSyntaxesNotSupported)
    }

    /// Whether an abstract syntax is a storage SOP class, as far as the toolkit, its UID or the peer says.
    private func isStorage(_ uid: String, _ request: AssociateRequest) -> Bool {
        guard UID(uid) != nil, uid != SOPClass.verification.string, !services.contains(uid) else { return false }
        if cdcmtk_is_storage_class(uid) != 0 || uid.hasPrefix(Self.storageBranch) { return true }
        guard uid.hasPrefix(Self.standardRoot) else { return takesPrivateSOPClasses }
        return request.commonExtended[uid]?.serviceClass == Self.storageService
    }

    private func item(_ type: UInt8, _ content: [UInt8]) -> [UInt8] { [type, 0] + sized(content) }
    /// A length of two bytes before its content.
    private func sized(_ content: [UInt8]) -> [UInt8] { [UInt8(content.count >> 8), UInt8(content.count & 0xFF)] + content }
}
