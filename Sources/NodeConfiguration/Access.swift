import DICOMCore
import Foundation

extension Configuration {
    /// Who may associate, and how long the node waits for whom.
    public struct Access: Sendable, Equatable {
        /// The titles that are answered; nil is any.
        public var calledAETitles: [AETitle]?
        /// Whether only `peers` may call.
        public var peersOnly: Bool
        /// From where anybody may call; nil is from anywhere.
        public var networks: [AddressRange]?
        /// Seconds that an association request waits for its turn when too many associations are open.
        public var queueSeconds: Double
        /// Seconds for an association request, with the TLS handshake before it, to come in whole (ARTIM, PS3.8 9.1.5).
        public var requestTimeoutSeconds: Int
        /// Whether storage SOP classes are taken that are not the standard's: private ones.
        public var privateSOPClasses: Bool
        /// User identities that are recognised (PS3.7 D.3.3.7); none: user identity is not looked at.
        public var users: [User]
        /// Whether an association needs one of them.
        public var usersOnly: Bool
    }

    /// A user name with the file that holds its passcode, if it has one.
    public struct User: Sendable, Equatable {
        public var name: String
        public var passcodeFile: String?
    }

    static func readAccess(_ section: Section, own: AETitle, folder: URL) -> Access {
        let access = Access(
            calledAETitles: section.titles("calledAETitles", own: own),
            peersOnly: section.flag("peersOnly", default: false),
            networks: section.optionalNetworks("networks"),
            queueSeconds: section.number("queueSeconds", 0...3600, default: 5),
            requestTimeoutSeconds: section.integer("requestTimeoutSeconds", 1...3600, default: 30),
            privateSOPClasses: section.flag("privateSOPClasses", default: true),
            users: section.list("users") { User(name: $0.string("name"), passcodeFile: $0.optionalFile("passcodeFile", in: folder)) },
            usersOnly: section.flag("usersOnly", default: false))
        if access.usersOnly, access.users.isEmpty { section.fail("usersOnly", "needs users") }
        return access
    }
}
