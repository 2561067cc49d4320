import DICOMCore
import Foundation

/// Everything `serve` is told, checked: a value of this type can be used as it is. `Config/node.yaml` explains each setting.
public struct Configuration: Sendable, Equatable {
    public var aeTitle: AETitle
    /// The numerical address to listen on; nil is every one, IPv4 and IPv6.
    public var host: String?
    /// The port to listen on; 0 lets the system choose.
    public var port: Int
    /// Where instances, results and the database live.
    public var dataDirectory: URL
    /// Whether `serve` may make the data folder when it is not there.
    public var createDataDirectory: Bool
    public var models: Models
    public var access: Access
    /// How associations are secured; nil is not at all.
    public var tls: TLS?
    public var peers: [Peer]
    public var receiving: Receiving
    public var disk: Disk
    public var retention: Retention
    public var completion: Completion
    public var contouring: Contouring
    public var selection: Selection
    public var delivery: DeliveryRules
    public var destinations: [Destination]

    /// Where networks and template sets lie.
    public struct Models: Sendable, Equatable {
        public var manifests, installed, runtime, templates: URL
    }

    /// What bounds receiving.
    public struct Receiving: Sendable, Equatable {
        public var maximumAssociations: Int
        /// Seconds a peer may be silent before its association is aborted.
        public var timeoutSeconds: Int
        /// Below either of these the disk counts as full and C-STORE is answered 0xA700.
        public var minimumFreeMegabytes: Int
        public var minimumFreePercent: Double
        public var conflicts: Conflicts
    }

    /// When a series is held to be complete.
    public struct Completion: Sendable, Equatable {
        /// Seconds of quiet after the last association ended by release, with gap-free slices.
        public var idleSeconds: Double
        /// Seconds of quiet when slices are missing or an association broke.
        public var gapSeconds: Double
        /// Seconds of quiet when the source says that more instances exist.
        public var missingSeconds: Double
    }

    /// How often a destination is tried.
    public struct DeliveryRules: Sendable, Equatable {
        public var firstRetrySeconds, longestRetrySeconds, giveUpAfterHours: Double
        public var timeoutSeconds: Int
    }

    /// An archive that results go to.
    public struct Destination: Sendable, Equatable {
        public var name: String
        public var aeTitle: AETitle
        public var host: String
        public var port: Int
        /// The title the node calls with; its own when absent.
        public var callingAETitle: AETitle?
        /// Whether it is called by TLS, and the subject that its certificate must have then.
        public var tls = false
        public var certificateSubject: String?
        /// What it gets.
        public var results = Results()
    }

    /// Reads a YAML file; relative paths in it are taken from its folder. All that is wrong with it is reported at once.
    public static func load(_ path: String) throws(ConfigurationErrors) -> Configuration {
        let url = URL(fileURLWithPath: path)
        guard let data = try? Data(contentsOf: url), let text = String(data: data, encoding: .utf8) else {
            throw ConfigurationErrors(file: path, errors: [.init(path: "", line: nil, message: "the file cannot be read as UTF-8 text")])
        }
        return try parse(text, file: path, folder: url.deletingLastPathComponent())
    }

    /// Reads YAML text; `file` is named in errors, `folder` is what relative paths are taken from.
    public static func parse(_ text: String, file: String = "node.yaml", folder: URL) throws(ConfigurationErrors) -> Configuration {
        let collector = ErrorCollector()
        let top = Section(yaml: text, collector: collector)
        let configuration = read(top, folder: folder)
        guard collector.errors.isEmpty else { throw ConfigurationErrors(file: file, errors: collector.errors) }
        return configuration
    }

    static func read(_ top: Section, folder: URL) -> Configuration {
        let aeTitle = top.aeTitle("aeTitle"), tls = readTLS(top, folder: folder), peers = readPeers(top, tls: tls)
        var configuration = Configuration(
            aeTitle: aeTitle,
            host: top.optionalAddress("host"),
            port: top.port("port", allowingZero: true, default: 11112),
            dataDirectory: top.folder("dataDirectory", in: folder), createDataDirectory: top.flag("createDataDirectory", default: true),
            models: top.section("models") {
                Models(
                    manifests: $0.folder("manifests", in: folder), installed: $0.folder("installed", in: folder),
                    runtime: $0.folder("runtime", in: folder), templates: $0.folder("templates", in: folder))
            },
            access: top.section("access") { readAccess($0, own: aeTitle, folder: folder) }, tls: tls, peers: peers,
            receiving: top.section("receiving") {
                Receiving(
                    maximumAssociations: $0.integer("maximumAssociations", 1...4096, default: 64),
                    timeoutSeconds: $0.integer("timeoutSeconds", 1...86400, default: 60),
                    minimumFreeMegabytes: $0.integer("minimumFreeMegabytes", 0...1_000_000_000, default: 2048),
                    minimumFreePercent: $0.number("minimumFreePercent", 0...100, default: 2),
                    conflicts: $0.word("conflicts", default: .keepLast))
            },
            disk: top.section("disk", disk), retention: top.section("retention", retention),
            completion: top.section("completion") {
                let gapSeconds = $0.number("gapSeconds", 0...86400, default: 120)
                return Completion(
                    idleSeconds: $0.number("idleSeconds", 0...86400, default: 5), gapSeconds: gapSeconds,
                    missingSeconds: $0.number("missingSeconds", 0...86400, default: max(600, gapSeconds)))
            },
            contouring: top.section("contouring", readContouring),
            selection: Selection(rules: []),
            delivery: top.section("delivery") {
                DeliveryRules(
                    firstRetrySeconds: $0.number("firstRetrySeconds", 0.01...86400, default: 10),
                    longestRetrySeconds: $0.number("longestRetrySeconds", 0.01...86400, default: 900),
                    giveUpAfterHours: $0.number("giveUpAfterHours", 0...1e5, default: 72),
                    timeoutSeconds: $0.integer("timeoutSeconds", 1...86400, default: 30))
            },
            destinations: top.list("destinations") { readDestination($0, peers: peers, tls: tls) })
        configuration.selection = top.section("selection") { Selection.read($0, templateSet: configuration.contouring.templateSet) }
        if configuration.completion.gapSeconds < configuration.completion.idleSeconds {
            top.fail("completion.gapSeconds", "must not be shorter than idleSeconds")
        }
        if configuration.completion.missingSeconds < configuration.completion.gapSeconds {
            top.fail("completion.missingSeconds", "must not be shorter than gapSeconds")
        }
        if configuration.delivery.longestRetrySeconds < configuration.delivery.firstRetrySeconds {
            top.fail("delivery.longestRetrySeconds", "must not be shorter than firstRetrySeconds")
        }
        for (index, destination) in configuration.destinations.enumerated()
        where configuration.destinations[..<index].contains(where: { $0.name == destination.name }) {
            top.fail("destinations[\(index)].name", "\(destination.name) is the name of an earlier destination")
        }
        top.finish()
        return configuration
    }
}
