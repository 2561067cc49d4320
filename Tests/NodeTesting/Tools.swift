import DICOMCore
import DICOMNetwork
import Foundation
import ImagingGeometry
import ModelRuntime

/// Where a test finds the repository, the shared data and the outside judges.
public enum Places {
    /// The repository's root.
    public static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
    /// What set-up brought: runtimes, weights, the judges' Python.
    public static let local = repository.appending(path: ".local")
    /// The shared data beside the repository; a test that needs it is enabled only where it is present.
    public static let shared = repository.deletingLastPathComponent().appending(path: "shared")
    public static var hasSharedData: Bool { FileManager.default.fileExists(atPath: shared.appending(path: "data").path) }
    /// Python with the judges of Tests/requirements.txt.
    public static let python = local.appending(path: "venv/bin/python").path
    /// Python with the judges that only work with pydicom 2.
    public static let pythonWithPydicom2 = local.appending(path: "venv-pydicom2/bin/python").path

    /// The judge of IOD conformance.
    public static let dciodvfy = local.appending(path: "venv/bin/dciodvfy").path

    /// Holds all temporary files of this process and of those that it starts; removed when it exits.
    private static let scratch: URL = {
        let folder = FileManager.default.temporaryDirectory.appending(path: "medlsam-tests-\(UUID().uuidString)")
        setenv("TMPDIR", folder.path, 1)
        atexit { try? FileManager.default.removeItem(at: Places.scratch) }
        return folder
    }()

    /// Makes a fresh folder for one test.
    public static func temporaryFolder(_ name: String = "medlsam") throws -> URL {
        let folder = scratch.appending(path: "\(name)-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }
}

/// What an outside program did.
public struct ToolResult: Sendable {
    public let status: Int32
    /// Standard output and error together.
    public let output: String
}

/// Runs an outside program (found on PATH unless the name holds a slash) and waits for its end.
@discardableResult
public func runTool(_ name: String, _ arguments: [String], environment: [String: String] = [:]) throws -> ToolResult {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: name.contains("/") ? name : "/usr/bin/env")
    process.arguments = name.contains("/") ? arguments : [name] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return ToolResult(status: process.terminationStatus, output: String(decoding: output, as: UTF8.self))
}

/// The files of a folder that hold something: what lies ready, empty, for what will arrive is none.
public func halfFiles(in folder: URL) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).filter {
        try FileManager.default.attributesOfItem(atPath: $0.path)[.size] as? Int != 0
    }
}
