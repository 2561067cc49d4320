import COpenVINO
import Foundation
import Synchronization

/// OpenVINO's library and core, shared by every model of the process.
final class OpenVINO: @unchecked Sendable {  // No lock: the C side is immutable once opened, and OpenVINO's core is thread-safe.
    /// Libraries opened so far, by path: OpenVINO cannot be unloaded, so each is opened once.
    private static let opened = Mutex<[String: OpenVINO]>([:])

    private let runtime: OpaquePointer

    private init(library: String) throws(ModelError) {
        runtime = try call(.runtimeUnavailable, about: "OpenVINO cannot be loaded from \(library)") {
            cov_runtime_open(library, $0, $1, $2)
        }
    }

    /// The environment variable that names the runtime's folder when the configuration does not.
    static let environmentVariable = "MEDLSAM_OPENVINO"

    /// The library at `location`: the library itself, or a folder that holds `libopenvino_c.so*`, also in `libs`.
    static func open(_ location: URL?) throws(ModelError) -> OpenVINO {
        let named = ProcessInfo.processInfo.environment[environmentVariable].map { URL(fileURLWithPath: $0) }
        guard let location = location ?? named else {
            throw ModelError(.runtimeUnavailable, "OpenVINO was not found: no folder is configured and \(environmentVariable) is not set.")
        }
        guard let library = library(at: location) else {
            throw ModelError(.runtimeUnavailable, "OpenVINO was not found: \(location.path) holds no libopenvino_c.so. Set-up brings it.")
        }
        return try opened.withLock { (opened) throws(ModelError) in
            if let runtime = opened[library] { return runtime }
            let runtime = try OpenVINO(library: library)
            opened[library] = runtime
            return runtime
        }
    }

    private static func library(at location: URL) -> String? {
        for folder in [location, location.appending(path: "libs")] {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
            if let name = names.filter({ $0.hasPrefix("libopenvino_c.so") }).max() { return folder.appending(path: name).path }
        }
        return location.lastPathComponent.contains(".so") && FileManager.default.fileExists(atPath: location.path) ? location.path : nil
    }

    /// Compiles an ONNX file, whose weights lie beside it.
    func compile(_ graph: URL, interface: ModelManifest.Graph, threads: Int, streams: Int) throws(ModelError) -> OpenVINOModel {
        let compiled = try call(.invalidManifest, about: "\(graph.path) cannot be compiled") {
            cov_model_compile(runtime, graph.path, Int32(threads), Int32(streams), $0, $1, $2)
        }
        return OpenVINOModel(compiled, graph: graph.lastPathComponent, interface: interface)
    }
}

/// One compiled network; every call takes an idle request, or makes one.
final class OpenVINOModel: Model, @unchecked Sendable {  // Idle requests are under the Mutex; the compiled model is immutable and thread-safe.
    private struct Request: @unchecked Sendable {  // Owned by one call, or idle under the Mutex.
        let pointer: OpaquePointer
    }

    private let compiled: OpaquePointer
    private let graph: String
    private let interface: ModelManifest.Graph
    private let idle = Mutex<[Request]>([])

    fileprivate init(_ compiled: OpaquePointer, graph: String, interface: ModelManifest.Graph) {
        self.compiled = compiled
        self.graph = graph
        self.interface = interface
    }

    deinit {
        idle.withLock { $0.forEach { cov_request_free($0.pointer) } }
        cov_model_free(compiled)
    }

    func callAsFunction(_ inputs: [String: Tensor]) throws -> [String: Tensor] {
        try interface.check(inputs, of: graph)
        let request = try idle.withLock { $0.popLast() } ?? makeRequest()
        do {
            for (name, tensor) in inputs { try set(tensor, as: name, in: request) }
            try run { cov_request_infer(request.pointer, $0, $1) }
            var outputs: [String: Tensor] = [:]
            for name in interface.outputs.keys { outputs[name] = try output(name, of: request) }
            idle.withLock { $0.append(request) }
            return outputs
        } catch {
            cov_request_free(request.pointer)
            throw error
        }
    }

    private func makeRequest() throws(ModelError) -> Request {
        Request(pointer: try call(.inferenceFailed, about: graph) { cov_request_create(compiled, $0, $1, $2) })
    }

    private func set(_ tensor: Tensor, as name: String, in request: Request) throws(ModelError) {
        let shape = tensor.shape.map(Int64.init)
        try run { cov_request_set_input(request.pointer, name, tensor.values, shape, shape.count, $0, $1) }
    }

    private func output(_ name: String, of request: Request) throws(ModelError) -> Tensor {
        var values: UnsafePointer<Float>?
        var shape = [Int64](repeating: 0, count: Int(COV_MAXIMUM_RANK))
        var rank = 0
        try run { cov_request_output(request.pointer, name, &values, &shape, &rank, $0, $1) }
        let axes = shape[..<rank].map(Int.init)
        return Tensor(shape: axes, values: Array(UnsafeBufferPointer(start: values, count: axes.reduce(1, *))))
    }

    private func run(_ body: (UnsafeMutablePointer<CChar>, Int) -> Int32) throws(ModelError) {
        try report(.inferenceFailed, about: graph, body)
    }
}

/// Calls a C function that makes something, or throws its message.
private func call(
    _ code: ModelError.Code, about subject: String,
    _ body: (UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<CChar>, Int) -> Int32
) throws(ModelError) -> OpaquePointer {
    var result: OpaquePointer?
    try report(code, about: subject) { body(&result, $0, $1) }
    return result!
}

/// Calls a C function, and throws its message when it fails.
private func report(
    _ code: ModelError.Code, about subject: String, _ body: (UnsafeMutablePointer<CChar>, Int) -> Int32
) throws(ModelError) {
    var message = [CChar](repeating: 0, count: 2048)
    let status = message.withUnsafeMutableBufferPointer { body($0.baseAddress!, $0.count) }
    guard status != 0 else { return }
    let text = message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    throw ModelError(code, "\(subject): \(String(decoding: text, as: UTF8.self))")
}
