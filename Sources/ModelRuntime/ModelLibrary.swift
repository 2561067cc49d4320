import Crypto
import Foundation

/// A model as `ModelLibrary.list` finds it.
public struct ModelStatus: Sendable, Equatable {
    /// Whether the model can be loaded.
    public enum State: Sendable, Equatable {
        /// Imported, and every file as it was written.
        case installed
        /// Its checkpoint was not imported yet.
        case notInstalled
        /// It was imported for another graph or checkpoint than the manifest's: import again.
        case outdated(reason: String)
        /// An installed file is missing or not the one that was written.
        case damaged(reason: String)
    }

    /// What the model is.
    public let manifest: ModelManifest
    /// Whether it can be loaded.
    public let state: State
    /// SHA-256 of the imported checkpoint, lower-case hexadecimal; nil when none was imported.
    public let digest: String?
}

/// The models of a folder of manifests, and their weights in a folder of installed models.
///
/// A model's folder in `manifests` holds its manifest, its graphs without weights and their layout; importing a
/// checkpoint writes graphs and weights into the folder of the same name in `installed`.
public struct ModelLibrary: Sendable {
    /// What an import writes last, so that a folder without it is no model.
    private struct Record: Codable {
        let name: String
        /// SHA-256 of the checkpoint.
        let checkpoint: String
        /// SHA-256 of each file by its name.
        let files: [String: String]

        static let fileName = "installed.json"
    }

    private static let weightsFile = "weights.bin"

    private let manifests: URL
    private let installed: URL
    private let runtime: URL?

    /// Names the folders; `runtime` is OpenVINO's, or nil for the one that MEDLSAM_OPENVINO names.
    public init(manifests: URL, installed: URL, runtime: URL?) {
        self.manifests = manifests
        self.installed = installed
        self.runtime = runtime
    }

    /// Every model of the library by name, each with its state by digest.
    public func list() throws(ModelError) -> [ModelStatus] {
        let folders: [String]
        do {
            folders = try FileManager.default.contentsOfDirectory(atPath: manifests.path)
        } catch {
            throw ModelError(.modelUnavailable, "The models' folder \(manifests.path) cannot be read: \(error.localizedDescription)")
        }
        return try folders.filter { exists(manifests.appending(path: $0).appending(path: ModelManifest.fileName)) }.sorted()
            .map { name throws(ModelError) in try status(of: name) }
    }

    /// The model's state, found by reading every installed file.
    public func status(of name: String) throws(ModelError) -> ModelStatus {
        let manifest = try manifest(of: name)
        guard exists(record(of: name)) else { return ModelStatus(manifest: manifest, state: .notInstalled, digest: nil) }
        guard let record = try? JSONDecoder().decode(Record.self, from: Data(contentsOf: record(of: name))) else {
            return ModelStatus(manifest: manifest, state: .damaged(reason: "\(Record.fileName) cannot be read"), digest: nil)
        }
        return ModelStatus(manifest: manifest, state: try state(of: manifest, record), digest: record.checkpoint)
    }

    /// Throws, with the reason and what to do, unless the model can be loaded; returns its digest.
    @discardableResult
    public func verify(_ name: String) throws(ModelError) -> String {
        let status = try status(of: name)
        let import_ = "import \(status.manifest.checkpoint.file) as \(name)"
        switch status.state {
        case .installed: return status.digest!
        case .notInstalled: throw ModelError(.modelUnavailable, "Model \(name) has no weights yet: \(import_).")
        case .outdated(let reason): throw ModelError(.modelUnavailable, "Model \(name) is outdated, \(reason): \(import_) again.")
        case .damaged(let reason): throw ModelError(.damaged, "Model \(name) is damaged, \(reason): \(import_) again.")
        }
    }

    /// Where a checkpoint that is shipped with its manifest lies; nil when there is none.
    public func shippedCheckpoint(of name: String) throws(ModelError) -> URL? {
        let file = manifests.appending(path: name).appending(path: try manifest(of: name).checkpoint.file)
        return exists(file) ? file : nil
    }

    /// Loads a graph of an installed model; its files are checked by digest first.
    ///
    /// `threads` are shared by `streams` calls at once. One stream answers a single caller soonest; as many streams as
    /// threads do the most work for as many callers, each on a thread of its own.
    public func load(_ name: String, graph: String, threads: Int, streams: Int = 1) throws(ModelError) -> any Model {
        try verify(name)
        let manifest = try manifest(of: name)
        guard let interface = manifest.graphs[graph] else { throw ModelError(.modelUnavailable, "Model \(name) has no graph \(graph).") }
        return try OpenVINO.open(runtime)
            .compile(folder(of: name).appending(path: interface.file), interface: interface, threads: threads, streams: streams)
    }

    /// Throws, with the reason, unless OpenVINO can be loaded.
    public func verifyRuntime() throws(ModelError) {
        _ = try OpenVINO.open(runtime)
    }
}

// MARK: - Import

extension ModelLibrary {
    /// Installs a PyTorch checkpoint as the weights of the named model, in place of those it had.
    ///
    /// Nothing in the file is executed. It is refused unless it holds the network's tensors, each in its shape, and no
    /// others, and, where the manifest names a digest, is that very file. A failed import leaves the model as it was.
    public func importCheckpoint(at file: URL, as name: String) throws(ModelError) {
        let manifest = try manifest(of: name)
        let layout = try WeightLayout(in: manifests.appending(path: name))
        let bytes = try read(file)
        let digest = hexadecimal(SHA256.hash(data: bytes))
        if let pinned = manifest.checkpoint.sha256, pinned != digest {
            throw ModelError(.invalidCheckpoint, "\(file.path) refused: its sha256 is \(digest), \(name) needs \(pinned).")
        }
        let weights: Data
        do {
            weights = try layout.fill(from: Checkpoint([UInt8](bytes)))
        } catch {
            throw ModelError(.invalidCheckpoint, "\(file.path) refused: \(error.reason).")
        }
        do {
            try install(manifest, weights: weights, checkpoint: digest)
        } catch {
            throw ModelError(.modelUnavailable, "\(name) cannot be installed in \(installed.path): \(error.localizedDescription)")
        }
    }

    /// Writes a new folder beside the old one, and then takes its place.
    private func install(_ manifest: ModelManifest, weights: Data, checkpoint: String) throws {
        let manager = FileManager.default
        let new = installed.appending(path: ".\(manifest.name)-\(UUID().uuidString)")
        try manager.createDirectory(at: new, withIntermediateDirectories: true)
        defer { try? manager.removeItem(at: new) }
        var files = [Self.weightsFile: weights]
        for graph in manifest.graphs.values {
            files[graph.file] = try Data(contentsOf: manifests.appending(path: manifest.name).appending(path: graph.file))
        }
        for (name, content) in files { try content.write(to: new.appending(path: name)) }
        let record = Record(name: manifest.name, checkpoint: checkpoint, files: files.mapValues { hexadecimal(SHA256.hash(data: $0)) })
        try JSONEncoder().encode(record).write(to: new.appending(path: Record.fileName))
        let place = folder(of: manifest.name)
        if exists(place) {
            let old = installed.appending(path: ".\(manifest.name)-\(UUID().uuidString)")
            try manager.moveItem(at: place, to: old)
            try? manager.removeItem(at: old)
        }
        try manager.moveItem(at: new, to: place)
    }
}

// MARK: - Files

extension ModelLibrary {
    private func manifest(of name: String) throws(ModelError) -> ModelManifest {
        let folder = manifests.appending(path: name)
        guard !name.isEmpty, !name.contains("/"), exists(folder.appending(path: ModelManifest.fileName)) else {
            throw ModelError(.modelUnavailable, "There is no model \(name) in \(manifests.path).")
        }
        return try ModelManifest(in: folder)
    }

    private func folder(of name: String) -> URL { installed.appending(path: name) }

    private func record(of name: String) -> URL { folder(of: name).appending(path: Record.fileName) }

    private func exists(_ file: URL) -> Bool { FileManager.default.fileExists(atPath: file.path) }

    private func read(_ file: URL) throws(ModelError) -> Data {
        do { return try Data(contentsOf: file) } catch {
            throw ModelError(.modelUnavailable, "\(file.path) cannot be read: \(error.localizedDescription)")
        }
    }

    private func state(of manifest: ModelManifest, _ record: Record) throws(ModelError) -> ModelStatus.State {
        if let pinned = manifest.checkpoint.sha256, pinned != record.checkpoint {
            return .outdated(reason: "it was made from another checkpoint")
        }
        for graph in manifest.graphs.values.map(\.file) {
            let current = try read(manifests.appending(path: manifest.name).appending(path: graph))
            guard hexadecimal(SHA256.hash(data: current)) == record.files[graph] else {
                return .outdated(reason: "\(graph) has changed since")
            }
        }
        for (file, digest) in record.files.sorted(by: { $0.key < $1.key }) {
            guard let content = try? Data(contentsOf: folder(of: manifest.name).appending(path: file)),
                  hexadecimal(SHA256.hash(data: content)) == digest else {
                return .damaged(reason: "\(file) is missing or changed")
            }
        }
        return .installed
    }
}

private func hexadecimal(_ digest: SHA256.Digest) -> String {
    digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}

extension WeightLayout {
    /// The content of `weights.bin`; refuses a checkpoint that is not this very network's.
    func fill(from checkpoint: Checkpoint) throws(CheckpointFault) -> Data {
        let unknown = Set(checkpoint.tensors.keys).subtracting(tensors.map(\.key)).subtracting(unused)
        if let key = unknown.min() { throw "it holds \(key), which the network does not have" }
        var weights = Data(count: byteCount)
        for entry in tensors {
            guard let tensor = checkpoint.tensors[entry.key] else { throw "it holds no \(entry.key)" }
            guard tensor.shape == entry.shape else { throw "\(entry.key) has shape \(tensor.shape), not \(entry.shape)" }
            let values = try checkpoint.floats(tensor)
            values.withUnsafeBytes { weights.replaceSubrange(entry.offset..<entry.offset + $0.count, with: $0) }
        }
        return weights
    }
}
