import DICOMCore
import DICOMImaging
import DICOMNetwork
import Foundation
import MedLSAM
import ModelRuntime
import NodeConfiguration
import NodeStore

/// Looks whether everything a node needs is there.
public enum Doctor {
    /// What was looked at, how it is, and what to do about it.
    public struct Check: Sendable, Codable {
        public enum State: String, Sendable, Codable { case ok, warning, failure }
        public let name: String
        public let state: State
        public let message: String
        /// Nil when all is well.
        public fileprivate(set) var whatToDo: String?
    }

    /// Checks data dictionary, font, runtime, models by digest, template set, data folder, disk, certificates, destinations and outbox; lasts no longer than
    /// the destinations' timeouts.
    public static func run(_ configuration: Configuration) async -> [Check] {
        let own = (try? await onOwnThread("doctor") {
            [check("data dictionary", "Install Debian's libdcmtk17, or set DCMDICTPATH.") {
                try Toolkit.checkDictionary()
                return .ok("DCMTK \(Toolkit.version) found its data dictionary.")
            }, check("font", "Install Debian's fonts-dejavu-core: captures, documents and overlay.png are drawn in it.") {
                .ok("DejaVu Sans is in \(try Typeface.folder()).")
            }] + contouringChecks(configuration) + dataChecks(configuration) + accessChecks(configuration)
        }) ?? []
        return await withTaskGroup(of: (Int, Check).self) { group in
            for (index, destination) in configuration.destinations.enumerated() {
                group.addTask { (index, (try? await onOwnThread("echo") { echo(destination, configuration) }) ?? unchecked(destination)) }
            }
            return own + (await group.reduce(into: []) { $0.append($1) }).sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    /// What contouring needs.
    static func contouringChecks(_ configuration: Configuration) -> [Check] {
        let library = ModelLibrary(folders: ModelFolders(configuration.models))
        let runtime = check("OpenVINO", "Run `make setup`, or point models.runtime at an unpacked OpenVINO wheel.") {
            try library.verifyRuntime()
            return .ok("OpenVINO is loadable from \(configuration.models.runtime.path).")
        }
        let method = ContouringMethod(configuration.contouring), models = ContouringModels(library, threads: 1)
        let sets = TemplateLibrary(folder: configuration.models.templates), names = configuration.selection.templateSets
        let asked = Set(names.flatMap { name in (try? models.segmenters(of: method.segmenter, sets.load(name))) ?? method.segmenter.networks })
        let networks = asked.sorted { $0.rawValue < $1.rawValue }.map { network in
            check("model \(network.rawValue)", "Run `make build`, or `medlsam-node model import`.") {
                .ok("\(network.rawValue) has its weights, sha256 \(try models.digest(of: network).prefix(12)).")
            }
        }
        let templates = names.flatMap { name in
            [check("template set \(name)", "Name one that is there in contouring.templateSet or the selection rule, or put it into models.templates.") {
                let set = try sets.load(name)
                try set.check(for: method.localiser)
                return .ok("\(set.name) version \(set.version) with \(set.structures.count) structures.")
            }] + (!method.localiser.needsMedLAM ? [] : [check("MedLAM of template set \(name)", "Run `make build` or `medlsam-node model import`, or build the set again.") {
                .ok("\(try models.medlam(of: sets.load(name)).rawValue) has the weights that it was made with.")
            }])
        }
        return [runtime] + networks + templates
    }

    /// The data folder, its disk and what waits in its outbox.
    private static func dataChecks(_ configuration: Configuration) -> [Check] {
        let folder = DataFolder(configuration.dataDirectory)
        let place = folder.root.path
        var checks = [check("data folder", "Do what the message says, and make \(place) writable for the user that runs the node.") {
            guard try folder.claim(creating: configuration.createDataDirectory, trying: true) else { return .ok("\(place) will be made at the first start.") }
            guard access(place, R_OK | W_OK | X_OK) == 0 else { throw NodeError(.dataFolder, "\(place) is not writable: \(systemReason()).") }
            do {
                _ = try DataFolderLock(folder)
                return .ok("\(place) is writable; no node runs on it.")
            } catch let error as NodeError where error.code == .locked {
                return .ok("\(place) is writable; a node runs on it.")
            }
        }]
        guard FileManager.default.fileExists(atPath: place) else { return checks }
        checks.append(check("disk", "Free some space, let retention do it, or lower the watermarks (docs/how-to/disk-and-retention.md).") {
            let (free, disk, minimum) = (try folder.freeSpace(), configuration.disk, configuration.receiving.minimumFree)
            let state = "\(free.bytes >> 20) MB (\(Int(free.percent)) %) free"
            if minimum.isReached(by: free) { throw NodeError(.dataFolder, "\(state), under \(minimum): C-STORE is answered 0xA700.") }
            if disk.reject.isReached(by: free) { throw NodeError(.dataFolder, "\(state), under \(disk.reject): new associations are rejected.") }
            if disk.warn.isReached(by: free) { return .warning("\(state), under \(disk.warn).") }
            return .ok("\(state), over \(disk.warn).")
        })
        guard FileManager.default.fileExists(atPath: folder.root.appending(path: "node.sqlite").path) else { return checks }
        checks.append(check("outbox", "See `medlsam-node jobs list`; `jobs retry` sends again.") {
            let store = try Store(folder: folder.root)
            let pending = try store.pendingDeliveries()
            let strangers = Set(pending.map(\.destination)).subtracting(configuration.destinations.map(\.name)).sorted()
            guard strangers.isEmpty else {
                return .warning("results wait for destinations that are not configured: \(strangers.joined(separator: ", ")).")
            }
            return .ok("\(pending.count) deliveries wait.")
        })
        checks.append(check("quarantine", "See `medlsam-node quarantine list`, then `quarantine release` or `quarantine keep`.") {
            let waiting = try Store(folder: folder.root).quarantine().count
            return waiting == 0 ? .ok("No series waits for a decision.") : .warning("\(waiting) series wait for a decision.")
        })
        return checks
    }

    private static func echo(_ destination: Configuration.Destination, _ configuration: Configuration) -> Check {
        var check = check("destination \(destination.name)", "Check host, port and AE titles there and here, and that the archive runs.") {
            let items = destination.results.items, place = "\(destination.aeTitle) at \(destination.host):\(destination.port) answers C-ECHO"
            let taken = try ServiceClass.echo(configuration.peer(destination), asking: Set(items.map(\.specification.sopClassUID)))
            // Where label maps are not taken, something else goes in their place.
            let refused = items.filter { $0.condition != .decides && !taken.contains($0.specification.sopClassUID) }.map(\.specification.name)
            guard refused.isEmpty else { return .warning("\(place), but does not accept \(refused.joined(separator: ", ")).") }
            return .ok("\(place) and accepts what it is to get.")
        }
        if check.state == .warning { check.whatToDo = "Have the archive accept them, or name in `objects` what it is to get." }
        return check
    }

    private static func unchecked(_ destination: Configuration.Destination) -> Check {
        Check(name: "destination \(destination.name)", state: .failure, message: "not checked", whatToDo: nil)
    }

    enum Finding { case ok(String), warning(String) }

    static func check(_ name: String, _ whatToDo: String, _ look: () throws -> Finding) -> Check {
        do {
            switch try look() {
            case .ok(let message): return Check(name: name, state: .ok, message: message, whatToDo: nil)
            case .warning(let message): return Check(name: name, state: .warning, message: message, whatToDo: whatToDo)
            }
        } catch {
            return Check(name: name, state: .failure, message: "\(error)", whatToDo: whatToDo)
        }
    }
}
