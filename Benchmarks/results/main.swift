import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry

// Writes a result object of given masks and says what that took: the part of Benchmarks/results.py that is this project's.
//
// usage: measure-results SERIES MASKS binary|labelmap|fractional OUT.dcm
// SERIES is a folder with a CT series, MASKS a file of a byte a voxel: structures, slices, rows, columns. Prints seconds, CPU seconds, and the
// most resident memory beyond what the process held before, its masks and volume, as JSON.

func status(_ key: String) throws -> Int {
    let lines = try String(contentsOfFile: "/proc/self/status", encoding: .utf8).split(separator: "\n")
    return Int(lines.first { $0.hasPrefix(key) }!.split(separator: " ").dropFirst().first { Int($0) != nil }!)! * 1024
}

func cpuSeconds() -> Double { Double(clock()) / Double(CLOCKS_PER_SEC) }

let arguments = CommandLine.arguments
guard arguments.count == 5, let form = SegmentationOptions.Form(rawValue: arguments[3]) else {
    print("usage: measure-results SERIES MASKS binary|labelmap|fractional OUT.dcm")
    exit(64)
}
let series = try CTSeries.read(paths: CTSeries.dicomFiles(in: arguments[1])), geometry = series.volume.geometry
let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: arguments[2]))
var segments: [ResultSegment] = []
while let voxels = try file.read(upToCount: geometry.count), voxels.count == geometry.count {
    segments.append(ResultSegment(
        name: "Structure_\(segments.count + 1)", category: CodedConcept(value: "91723000", scheme: "SCT", meaning: "Anatomical Structure"),
        type: CodedConcept(value: "91609006", scheme: "SCT", meaning: "Mandible"), color: [255, 138, 128], state: .segmented,
        mask: Mask(geometry: geometry, voxels: [UInt8](voxels))))
}
let source = try DataSet(contentsOf: series.instances[0].path, stoppingBefore: .pixelData)
let context = ResultContext(softwareVersion: "benchmark", models: [], templateSet: "benchmark", templateSetVersion: "1", deviceSerialNumber: "BENCHMARK", contentDate: Date())

// From here on the peak is counted anew (proc(5), clear_refs).
try Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"), options: [])
let held = try status("VmRSS"), cpu = cpuSeconds(), begun = ContinuousClock.now
let contoured = try ContouredSeries(segments: segments, series: series, source: source, context: context)
try SegmentationWriter.make(contoured, SegmentationOptions(form: form)).write(to: arguments[4])
let seconds = (ContinuousClock.now - begun) / .seconds(1)
print(#"{"seconds": \#(seconds), "cpuSeconds": \#(cpuSeconds() - cpu), "bytesBeyondInput": \#(max(0, try status("VmHWM") - held))}"#)
