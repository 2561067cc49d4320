import Foundation
#if canImport(Glibc)
import Glibc
#endif

/// A program that runs beside a test, with what it says in a file; killed when the test lets go of it.
public final class BackgroundProcess: Sendable {
    private let process: Process
    /// Standard output and error together.
    public let log: URL

    /// Starts a program, found on PATH unless the name holds a slash.
    public init(_ name: String, _ arguments: [String], log: URL, environment: [String: String] = [:]) throws {
        if !FileManager.default.fileExists(atPath: log.path) { try Data().write(to: log) }
        let output = try FileHandle(forWritingTo: log)
        try output.seekToEnd()
        process = Process()
        process.executableURL = URL(fileURLWithPath: name.contains("/") ? name : "/usr/bin/env")
        process.arguments = name.contains("/") ? arguments : [name] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
        self.log = log
    }

    deinit { kill() }

    public var isRunning: Bool { process.isRunning }
    public var processID: Int32 { process.processIdentifier }
    public var output: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

    /// Ends it at once, as a power cut would (SIGKILL), and waits until it is gone.
    public func kill() {
        guard process.isRunning else { return }
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Asks it to end (SIGTERM); returns its exit status.
    public func terminate() -> Int32 {
        process.terminate()
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// Processes that this one started.
    public var children: [Int32] {
        let path = "/proc/\(processID)/task"
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return tasks.flatMap { task in
            ((try? String(contentsOfFile: "\(path)/\(task)/children", encoding: .utf8)) ?? "").split(separator: " ").compactMap { Int32($0) }
        }
    }
}

/// A test waited for something that did not come.
public struct Expired: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// Looks until `condition` gives a value, a few times a second; throws `Expired` after `seconds`.
public func eventually<T>(_ what: String, within seconds: Double = 30, _ condition: () throws -> T?) async throws -> T {
    let deadline = ContinuousClock.now + .seconds(seconds)
    var isLastLook = false
    while true {
        if let value = try condition() { return value }
        if isLastLook { break }
        try await Task.sleep(for: .milliseconds(200))
        // On a busy machine the sleep may outlast the deadline: what came meanwhile still counts.
        isLastLook = ContinuousClock.now >= deadline
    }
    throw Expired("\(what) did not happen within \(Int(seconds)) s")
}

/// A port of this machine's loopback interface that nothing listens on now.
public func freePort() throws -> Int {
    // Not of those that connections get (32768 and above): one might have it before the peer listens that it is meant for.
    for _ in 0..<100 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0), port = UInt16.random(in: 20_000..<32_768)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        address.sin_port = port.bigEndian
        let isFree = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
        }
        if isFree { return Int(port) }
    }
    throw Expired("no free port")
}
