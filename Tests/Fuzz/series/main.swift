// Drives the CT series reader with spoilt files: `fuzz-series RUNS SEED`. Built with AddressSanitizer by `make fuzz`.
//
// Each run is reproducible by itself: run n of seed s is run 0 of seed s + n. Whatever the reader does must be a volume that makes
// sense or an ImagingError; anything else ends the program, with the files left in the folder that it names.
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

let root = try Places.temporaryFolder("fuzz-series")
/// Every family of codecs that the reader knows, made by the tools of DCMTK and GDCM.
let encodings: [(name: String, tool: String, options: [String])] = [
    ("explicit", "", []), ("implicit", "dcmconv", ["+ti"]), ("bigendian", "dcmconv", ["+tb"]), ("deflated", "dcmconv", ["+td"]), ("rle", "dcmcrle", []),
    ("jpeg", "dcmcjpeg", ["+e1"]), ("jpegls", "dcmcjpls", []), ("jpeg2000", "gdcmconv", ["--j2k"]),
]
let series = try encodings.map { encoding in
    try SpoiltSeries(in: root.appending(path: encoding.name)) { path in
        guard !encoding.tool.isEmpty else { return }
        let made = try runTool(encoding.tool, encoding.options + [path, path + ".new"])
        guard made.status == 0, rename(path + ".new", path) == 0 else { throw Expired("\(encoding.tool): \(made.output)") }
    }
}

func check(_ isSo: Bool, _ what: String, _ run: UInt64) {
    if !isSo { fatalError("run \(run): \(what); files in \(root.path)") }
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
    let spoilt = try victim.spoil(&random)
    do {
        let found = try CTSeries.read(paths: victim.paths).volume
        let g = found.geometry
        check(found.voxels.count == g.size.x * g.size.y * g.size.z && found.voxels.count > 0, "the volume has other voxels than its size says", run)
        let numbers = [g.spacingMM, g.originLPS, g.columnIndexDirection, g.rowIndexDirection]
        check(g.spacingMM.min() > 0 && numbers.allSatisfy { $0.sum().isFinite }, "the volume's geometry is no place", run)
        outcomes["volume", default: 0] += 1
    } catch {
        check(!error.message.isEmpty && !error.message.contains("PHANTOM"), "an error without a reason, or with the patient in it", run)
        outcomes["\(error.code)", default: 0] += 1
    }
    try victim.mend(spoilt)
    if run % 256 == 0 { check(peakMegabytes() < memoryLimitMegabytes, "\(peakMegabytes()) MB of memory", run) }
}
try? FileManager.default.removeItem(at: root)
struct Report: Encodable { let runs: UInt64, peakMegabytes: Int, outcomes: [String: Int] }
print(String(decoding: try JSONEncoder().encode(Report(runs: runs, peakMegabytes: peakMegabytes(), outcomes: outcomes)), as: UTF8.self))
