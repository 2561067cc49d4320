import Crypto
import DICOMNetwork
import Foundation
import Logging
import NodeConfiguration
import Synchronization

/// Lets in who may associate, and counts what each peer has open; all else is the business of the handler behind it.
final class Gate: StorageHandler {
    private let access: Configuration.Access
    private let peers: [Configuration.Peer]
    private let handler: any StorageHandler
    private let logger: Logger
    /// The peer of each association that is open, by its name.
    private let open = Mutex<[UInt64: String]>([:])

    init(_ configuration: Configuration, before handler: any StorageHandler, logger: Logger) {
        (access, peers, self.handler, self.logger) = (configuration.access, configuration.peers, handler, logger)
    }

    func accepts(_ association: AssociationInfo) -> AssociationRejection? {
        guard access.calledAETitles?.contains(association.calledAETitle) ?? true else { return .calledAETitleNotRecognized }
        guard access.networks?.contains(association.peerAddress) ?? true else {
            return refused(association, "its address is in none of access.networks")
        }
        let known = peers.filter { $0.aeTitle == association.callingAETitle }
        guard !known.isEmpty else {
            return access.peersOnly ? refused(association, "it is none of the peers") : handler.accepts(association)
        }
        let objections = known.map { ($0, objection(of: $0, to: association)) }
        let fitting = objections.filter { $0.1 == nil }.map(\.0)
        guard !fitting.isEmpty else { return refused(association, objections[0].1!) }
        let entered = open.withLock { open in
            let peer = fitting.first { peer in open.values.count { $0 == peer.name } < peer.maximumAssociations ?? .max }
            open[association.id] = peer?.name
            return peer != nil
        }
        guard entered else { return .localLimitExceeded }
        let rejection = handler.accepts(association)
        if rejection != nil { leave(association) }
        return rejection
    }

    /// Why an association is not one of the peer whose title it bears.
    private func objection(of peer: Configuration.Peer, to association: AssociationInfo) -> String? {
        guard peer.networks?.contains(association.peerAddress) ?? true else { return "its address is in none of the networks of peer \(peer.name)" }
        guard !peer.tls || association.isSecure else { return "peer \(peer.name) must come by TLS" }
        guard peer.certificateSubject == nil || peer.certificateSubject == association.certificateSubject else {
            return "its certificate is not that of peer \(peer.name) but \(association.certificateSubject ?? "missing")"
        }
        return nil
    }

    private func refused(_ association: AssociationInfo, _ why: String) -> AssociationRejection {
        logger.notice("\(association.callingAETitle) may not associate: \(why)", metadata: ["peer": "\(association.peerAddress)"])
        return .callingAETitleNotRecognized
    }

    private func leave(_ association: AssociationInfo) { open.withLock { $0[association.id] = nil } }

    func recognition(of user: UserIdentity?, on association: AssociationInfo) -> UserRecognition {
        guard !access.users.isEmpty else { return .ignored }
        guard let user else { return access.usersOnly ? .refused : .ignored }
        return access.users.contains { $0.name == user.name && isRight(user.passcode, of: $0) } ? .recognized : .refused
    }

    /// The file is read each time, so that a passcode can be changed without a restart.
    private func isRight(_ passcode: String?, of user: Configuration.User) -> Bool {
        guard let path = user.passcodeFile else { return true }
        guard let content = try? String(contentsOfFile: path, encoding: .utf8) else {
            logger.error("\(path) cannot be read: its user is not let in")
            return false
        }
        let right = content.prefix { !$0.isNewline }
        guard let passcode, !right.isEmpty else { return false }
        // Digests are compared in a time that does not tell how much of a guess was right.
        return SHA256.hash(data: Data(passcode.utf8)) == SHA256.hash(data: Data(right.utf8))
    }

    // MARK: What is passed on

    func destination(of request: StoreRequest, on association: AssociationInfo) -> StoreDestination {
        handler.destination(of: request, on: association)
    }

    func ended(_ association: AssociationInfo, released: Bool) {
        leave(association)
        handler.ended(association, released: released)
    }
}

extension [AddressRange] {
    fileprivate func contains(_ address: String) -> Bool { contains { $0.contains(address) } }
}
