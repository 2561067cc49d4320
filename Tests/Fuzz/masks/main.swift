// Drives the readers of given masks, NIfTI and SEG, with spoilt files: `fuzz-masks RUNS SEED`. Built with AddressSanitizer by `make fuzz`.
//
// Run n of seed s is run 0 of seed s + n. Whatever a reader does must be masks on the scan's grid or an ImagingError; anything else
// ends the program, with the file left that it names.
import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting

guard CommandLine.arguments.count == 3, let runs = UInt64(CommandLine.arguments[1]), let seed = UInt64(CommandLine.arguments[2]) else {
    FileHandle.standardError.write(Data("usage: fuzz-masks RUNS SEED\n".utf8))
    exit(64)
}

/// Megabytes of memory in use beyond which something leaks or believes a lie: sound masks need some ten.
let memoryLimitMegabytes = 1024

let root = try Places.temporaryFolder("fuzz-masks")
let scan = try CTSeries.read(paths: Phantom(name: "fuzz-masks", columns: 16, rows: 16, slices: 6, spacingMM: [12, 12, 40]).write(into: root.appending(path: "ct")))
let seeds = try MaskSeeds.make(scan, in: root)

func check(_ isSo: Bool, _ what: String, _ run: UInt64) {
    if !isSo { fatalError("run \(run): \(what); files in \(root.path)") }
}

func peakMegabytes() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss >> 10
}

func masks(_ path: String) throws -> [PlacedMask] {
    let resampling = path.hasSuffix("resampled")
    if path.contains(".nii") {
        let file = try NIfTIMasks(path: path)
        return try file.placed(file.labels.prefix(3).map { GivenStructure(number: $0) }, on: scan, resampling: resampling)
    }
    return try SegmentationReader.masks(in: DataSet(contentsOf: path)).placed(on: scan, resampling: resampling)
}

var outcomes: [String: Int] = [:]
// A crash says nothing: the file in hand is then the spoilt one.
FileHandle.standardError.write(Data("files: \(root.path)\n".utf8))
for run in 0..<runs {
    var random = Seeded(seed &+ run)
    let (name, sound) = seeds.randomElement(using: &random)!
    var bytes = sound
    // Headers tell most lies: half of the runs spoil only what comes first.
    if Bool.random(using: &random) {
        var head = Array(bytes.prefix(700))
        Spoiling.spoil(&head, from: name.contains(".nii") ? 0 : 132, &random)
        bytes.replaceSubrange(0..<min(700, bytes.count), with: head)
    } else { Spoiling.spoil(&bytes, from: name.contains(".nii") ? 0 : 132, &random) }
    let path = root.appending(path: "spoilt-\(name)" + (Bool.random(using: &random) ? "-resampled" : "")).path
    try Data(bytes).write(to: URL(filePath: path))
    do {
        for mask in try masks(path) {
            check(mask.mask.geometry == scan.grid.working && mask.mask.voxels.allSatisfy { $0 < 2 }, "a mask is none of the scan", run)
        }
        outcomes["masks", default: 0] += 1
    } catch let error as ImagingError {
        check(!error.message.isEmpty && !error.message.contains("PHANTOM"), "an error without a reason, or with the patient in it", run)
        outcomes["\(error.code)", default: 0] += 1
    } catch is DICOMError { outcomes["no data set", default: 0] += 1 }
    unlink(path)
    if run % 256 == 0 { check(peakMegabytes() < memoryLimitMegabytes, "\(peakMegabytes()) MB of memory", run) }
}
try? FileManager.default.removeItem(at: root)
struct Report: Encodable { let runs: UInt64, peakMegabytes: Int, outcomes: [String: Int] }
print(String(decoding: try JSONEncoder().encode(Report(runs: runs, peakMegabytes: peakMegabytes(), outcomes: outcomes)), as: UTF8.self))
