import DICOMNetwork
import Foundation
import NodeConfiguration

extension Doctor {
    /// Days before its end that a certificate is worth a warning.
    private static let daysToWarn = 30.0

    /// Whether certificates and passcodes can be read, fit and last.
    static func accessChecks(_ configuration: Configuration, at now: Date = Date()) -> [Check] {
        var checks: [Check] = []
        if let tls = configuration.tls {
            checks.append(check("TLS", "See docs/how-to/tls.md; the section tls of the settings names the files.") {
                try tls.settings.check()
                return .ok("certificates and key are readable and fit.")
            })
            if let path = tls.certificate { checks.append(lasts("certificate", path, at: now)) }
            for path in tls.settings.trustedFiles { checks.append(lasts("trusted certificate", path, at: now, isOwn: false)) }
        }
        for path in configuration.access.users.compactMap(\.passcodeFile) {
            checks.append(check("passcode", "Make \(path) readable for the user that runs the node, with the passcode in its first line.") {
                let content = try? String(contentsOfFile: path, encoding: .utf8)
                guard content?.prefix(while: { !$0.isNewline }).isEmpty == false else { throw NodeError(.unreadable, "\(path) holds no passcode.") }
                return .ok("\(path) holds a passcode.")
            })
        }
        return checks
    }

    private static func lasts(_ name: String, _ path: String, at now: Date, isOwn: Bool = true) -> Check {
        check(name, "Have it renewed, and put the new one in the place of \(path): it is taken without a restart.") {
            let info = try CertificateInfo(file: path)
            let days = info.validTo.timeIntervalSince(now) / 86400
            let what = "\(path) (\(info.subject))"
            let isOut = days < 0 || now < info.validFrom
            let message = isOut ? "\(what) is valid only from \(day(info.validFrom)) to \(day(info.validTo))." : "\(what) is valid for \(Int(days)) days."
            if isOut, isOwn { throw NodeError(.refused, message) }
            return isOut || days < daysToWarn ? .warning(message) : .ok(message)
        }
    }

    private static func day(_ date: Date) -> String { date.formatted(.iso8601.year().month().day()) }
}
