// Drives the CT series reader with spoilt files: `fuzz-series RUNS SEED`. Built with AddressSanitizer by `make fuzz`.
//
// Each run is reproducible by itself: run n of seed s is run 0 of seed s + n. Whatever the reader does must be a volume that makes
// sense or an ImagingError; anything else ends the program, with the files left in the folder that it names.
import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting

guard CommandLine.arguments.count == 3, let runs = UInt64(CommandLine.arguments[1]), let seed = UInt64(CommandLine.arguments[2]) else {
    FileHandle.standardError.write(Data("usage: fuzz-series RUNS SEED\n".utf8))
    exit(64)
}

/// Megabytes of memory in use beyond which something leaks or believes a lie: a sound series needs some ten.
let memoryLimitMegabytes = 1024

// In memory where the system has such a folder: a million runs write some millions of files.
let memory = URL(filePath: "/dev/shm"), isMemory = access(memory.path, W_OK) == 0
let root = (isMemory ? memory : FileManager.default.temporaryDirectory).appending(path: "fuzz-series-\(UUID().uuidString)")
try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
let series = try Seeds.make(in: root)

func check(_ isSo: Bool, _ what: String, _ run: UInt64) {
    if !isSo { fatalError("run \(run): \(what); files in \(root.path)") }
}

/// An error of ours with a reason, and nothing of the patient in it.
func isReason(_ error: any Error) -> Bool {
    let message = (error as? ImagingError)?.message ?? (error as? DICOMError)?.message ?? ""
    return !message.isEmpty && !message.contains("PHANTOM")
}

func peakMegabytes() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss >> 10
}

var outcomes: [String: Int] = [:]
// A crash says nothing: the run in hand is then the number in this file.
let progress = open(root.appending(path: "run").path, O_WRONLY | O_CREAT, 0o644)
FileHandle.standardError.write(Data("files and the number of the run in hand: \(root.path)\n".utf8))
for run in 0..<runs {
    var random = Seeded(seed &+ run)
    let number = [UInt8]("\(run)\n".utf8)
    pwrite(progress, number, number.count, 0)
    let victim = series.randomElement(using: &random)!
    let paths = try victim.spoilt(&random)
    do {
        // One in eight as the worker reads a folder; the others from headers, of which selection makes stacks too.
        let found = Int.random(in: 0..<8, using: &random) == 0 ? nil : victim.files(paths)
        for case .failure(let error) in found ?? [] { check(isReason(error), "\(error)", run) }
        let files = found?.compactMap { try? $0.get() }
        if let headers = files?.map(\.header) {
            let slices = HeaderStack.stacks(of: headers).map(\.slices.count)
            check(slices.allSatisfy { $0 > 0 }, "a stack without a slice", run)
            check(SliceStack.gap(in: headers)?.isEmpty != true, "a gap without words", run)
        }
        let volume = try (files.map { try CTSeries.read($0) } ?? CTSeries.read(paths: paths)).volume
        let g = volume.geometry
        check(volume.voxels.count == g.size.x * g.size.y * g.size.z && !volume.voxels.isEmpty, "the volume has other voxels than its size says", run)
        let numbers = [g.spacingMM, g.originLPS, g.columnIndexDirection, g.rowIndexDirection]
        check(g.spacingMM.min() > 0 && numbers.allSatisfy { $0.sum().isFinite }, "the volume's geometry is no place", run)
        outcomes["volume", default: 0] += 1
    } catch {
        check(isReason(error), "\(error)", run)
        outcomes[(error as? ImagingError).map { "\($0.code)" } ?? "other", default: 0] += 1
    }
    if run % 256 == 0 { check(peakMegabytes() < memoryLimitMegabytes, "\(peakMegabytes()) MB of memory", run) }
}
try? FileManager.default.removeItem(at: root)
struct Report: Encodable { let runs: UInt64, peakMegabytes: Int, outcomes: [String: Int] }
print(String(decoding: try JSONEncoder().encode(Report(runs: runs, peakMegabytes: peakMegabytes(), outcomes: outcomes)), as: UTF8.self))
