// Measures the RT Structure Set writer and reader on given masks: `Benchmarks/results_rtstruct.py` runs it.
import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry

/// usage: measure-structures CT_FOLDER MASKS COUNT OUT.dcm
///
/// MASKS holds COUNT masks of the series' size, one byte a voxel, column fastest. Prints seconds as JSON; the process's peak memory is the
/// caller's to read.
let arguments = CommandLine.arguments
guard arguments.count == 5, let count = Int(arguments[3]), let masks = FileHandle(forReadingAtPath: arguments[2]) else {
    FileHandle.standardError.write(Data("usage: measure-structures CT_FOLDER MASKS COUNT OUT.dcm\n".utf8))
    exit(64)
}

/// Seconds of the processor's time, so that other work on the machine does not count.
func timed<T>(_ body: () throws -> T) rethrows -> (T, Double) {
    func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let start = now()
    let result = try body()
    return (result, now() - start)
}

let series = try CTSeries.read(paths: CTSeries.dicomFiles(in: arguments[1]))
let source = try DataSet(contentsOf: series.instances[0].path, stoppingBefore: .pixelData)
let segments = try (0..<count).map { n in
    let bytes = try masks.read(upToCount: series.grid.working.count) ?? Data()
    return ResultSegment(
        name: "Structure_\(n + 1)", category: CodedConcept(value: "91723000", scheme: "SCT", meaning: "Anatomical Structure"),
        type: CodedConcept(value: "91609006", scheme: "SCT", meaning: "Mandible"), color: [255, 0, UInt8(n)], state: .segmented,
        mask: Mask(geometry: series.grid.working, voxels: [UInt8](bytes)))
}
let context = ResultContext(softwareVersion: "benchmark", models: [], templateSet: "benchmark", templateSetVersion: "1", deviceSerialNumber: "BENCHMARK", contentDate: Date())
let (object, makeSeconds) = try timed { try StructureSetWriter.make(ContouredSeries(segments: segments, series: series, source: source, context: context)) }
let (_, writeSeconds) = try timed { try object.write(to: arguments[4]) }
var differing = 0
let (_, readSeconds) = try timed {
    try StructureSetReader.read(DataSet(contentsOf: arguments[4]), grid: series.grid) { name, mask in
        guard let segment = segments.first(where: { $0.name == name }), segment.mask?.voxels == mask.voxels else { differing += 1; return }
    }
}
print(#"{"make": \#(makeSeconds), "write": \#(writeSeconds), "read": \#(readSeconds), "differing": \#(differing)}"#)
