import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Synchronization

/// A series on disk with its objects, as a worker leaves them, for the node's check; removed when let go of.
final class CheckedObjects {
    let folder: URL
    let check: ObjectCheck
    let objects: [ObjectCheck.Object]

    convenience init(_ stack: MeasurementTests.Stack, options: StructureSetOptions = .init(), segmentation: SegmentationOptions = .init()) throws {
        let folder = try Places.temporaryFolder()
        var contoured = try MeasurementTests.contoured(stack.series(in: folder))
        if segmentation.form == .fractional {
            var segments = contoured.segments
            segments[0].probabilities = segments[0].mask.map(Self.blurred)
            contoured = try ContouredSeries(segments: segments, series: contoured.series, source: contoured.source, context: contoured.context)
        }
        let seg = try SegmentationWriter.make(contoured, segmentation)
        try self.init(in: folder, [
            (.segmentation, seg), (.structureSet, try StructureSetWriter.make(contoured, options)),
            (.measurements, try MeasurementWriter.make(contoured, segmentation: seg)),
            (.summary, try SummaryWriter.make(contoured)), (.document, try DocumentWriter.make(contoured)),
        ] + (try OverlayWriter.make(contoured).map { (.overlay, $0) }))
    }

    /// A label map of more structures than a byte can number, alone.
    static func wideLabelMap() throws -> CheckedObjects {
        let folder = try Places.temporaryFolder()
        let phantom = Phantom(name: "wide", columns: 17, rows: 17, slices: 3, spacingMM: [12, 12, 3])
        let paths = try phantom.write(into: folder.appending(path: "ct")), series = try CTSeries.read(paths: paths)
        let segments = (1...256).map { number in
            var mask = Mask(empty: series.grid.working)
            mask.voxels[number] = 1
            return ResultFixture.segment("Structure_\(number)", mask)
        }
        let source = try DataSet(contentsOf: paths[0], stoppingBefore: .pixelData)
        let contoured = try ContouredSeries(segments: segments, series: series, source: source, context: ResultFixture.context)
        return try CheckedObjects(in: folder, [(.segmentation, SegmentationWriter.make(contoured, .init(form: .labelmap)))])
    }

    /// The objects of a series in the folder's `ct`, written.
    private init(in folder: URL, _ made: [(ResultKind, ResultObject)]) throws {
        self.folder = folder
        let ct = folder.appending(path: "ct")
        objects = try made.map { kind, object in
            let path = folder.appending(path: "\(kind.rawValue) \(object.sopInstanceUID).dcm").path
            try object.write(to: path)
            return .init(path: path, kind: kind, sopClassUID: object.sopClassUID.string, sopInstanceUID: object.sopInstanceUID.string)
        }
        check = try ObjectCheck(sourcePaths: FileManager.default.contentsOfDirectory(atPath: ct.path).sorted().map { ct.appending(path: $0).path })
    }

    /// Probabilities of which a mask is the upper half, some on the slices beside it.
    private static func blurred(_ mask: Mask) -> ProbabilityMap {
        let plane = mask.geometry.size.x * mask.geometry.size.y
        return ProbabilityMap(geometry: mask.geometry, voxels: mask.voxels.indices.map { at in
            if mask.voxels[at] == 1 { return 200 }
            return [at - plane, at + plane].contains { mask.voxels.indices.contains($0) && mask.voxels[$0] == 1 } ? 90 : 0
        })
    }

    /// The series of the SEG, for a mutation that takes it.
    static let segSeries = Mutex<String?>(nil)
    static var seriesOfSEG: String { segSeries.withLock { $0 ?? "" } }

    deinit { try? FileManager.default.removeItem(at: folder) }

    /// The objects with the first of the mutation's kind spoilt.
    func spoilt(_ mutation: Mutation) throws -> [ObjectCheck.Object] {
        let first = objects.firstIndex { $0.kind == mutation.kind }
        return try objects.enumerated().map { index, object in
            guard index == first else { return object }
            var spoilt = object
            spoilt.path = folder.appending(path: "spoilt.dcm").path
            let dataSet = try DataSet(contentsOf: object.path)
            try mutation.change?(dataSet)
            try dataSet.write(to: spoilt.path)
            guard let patch = mutation.patch else { return spoilt }
            var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: spoilt.path)))
            try patch(&bytes)
            try Data(bytes).write(to: URL(fileURLWithPath: spoilt.path))
            return spoilt
        }
    }
}

/// One rule broken in one object.
struct Mutation: Sendable {
    let kind: ResultKind
    /// What the refusal says.
    let rule: String
    var change: (@Sendable (DataSet) throws -> Void)?
    /// What the toolkit would not write.
    var patch: (@Sendable (inout [UInt8]) throws -> Void)?
    var name: String { "\(kind.rawValue): \(rule)" }

    static func seg(_ rule: String, _ change: @escaping @Sendable (DataSet) throws -> Void) -> Mutation { .init(kind: .segmentation, rule: rule, change: change) }
    static func rt(_ rule: String, _ change: @escaping @Sendable (DataSet) throws -> Void) -> Mutation { .init(kind: .structureSet, rule: rule, change: change) }
    static func sr(_ rule: String, _ change: @escaping @Sendable (DataSet) throws -> Void) -> Mutation { .init(kind: .measurements, rule: rule, change: change) }
    static func overlay(_ rule: String, _ change: @escaping @Sendable (DataSet) throws -> Void) -> Mutation { .init(kind: .overlay, rule: rule, change: change) }
    static func sheet(_ rule: String, _ change: @escaping @Sendable (DataSet) throws -> Void) -> Mutation { .init(kind: .summary, rule: rule, change: change) }
    static func pdf(_ rule: String, _ change: @escaping @Sendable (DataSet) throws -> Void) -> Mutation { .init(kind: .document, rule: rule, change: change) }
    static func bytes(_ kind: ResultKind, _ rule: String, _ patch: @escaping @Sendable (inout [UInt8]) throws -> Void) -> Mutation { .init(kind: kind, rule: rule, patch: patch) }
}

/// Where an element begins in a file in explicit VR: the first of that tag and VR.
func place(_ tag: DICOMCore.Tag, _ vr: String, in bytes: [UInt8]) throws -> Int {
    let pattern = [UInt8(tag.group & 0xFF), UInt8(tag.group >> 8), UInt8(tag.element & 0xFF), UInt8(tag.element >> 8)] + Array(vr.utf8)
    let found = bytes.indices.dropFirst(132).first { bytes[$0] == pattern[0] && bytes[$0...].starts(with: pattern) }
    guard let found else { throw Expired("\(tag) is not there") }
    return found
}

extension DataSet {
    func frame(_ n: Int) -> DataSet { items(.perFrameFunctionalGroupsSequence)[n] }
    func first(_ tags: DICOMCore.Tag...) -> DataSet { tags.reduce(self) { $0.items($1)[0] } }
    /// The content items of a report, at all depths.
    func content() -> [DataSet] { items(.contentSequence).flatMap { [$0] + $0.content() } }
    func content(_ meaning: String) -> DataSet { content().first { $0.items(.conceptNameCodeSequence).first?.string(.codeMeaning) == meaning }! }
}
