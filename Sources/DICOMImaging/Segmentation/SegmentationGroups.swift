import DICOMCore
import ImagingGeometry

/// What frames of a SEG share and what each states of its own (PS3.3 A.51.5).
struct SegmentationGroups {
    private let series: CTSeries
    /// All slices are of one thickness: then it is shared, else each frame states its own.
    private let sharesThickness: Bool

    init(_ series: CTSeries) {
        self.series = series
        sharesThickness = Set((0..<series.grid.slices).map { Self.thickness(series, slice: $0) }).count == 1
    }

    func writeShared(_ d: DataSet) throws {
        let grid = series.grid, shared = try d.addItem(.sharedFunctionalGroupsSequence)
        if sharesThickness { try writeMeasures(shared, slice: 0) }
        let a = grid.columnIndexDirection, b = grid.rowIndexDirection
        try shared.addItem(.planeOrientationSequence).set(.imageOrientationPatient, [a.x, a.y, a.z, b.x, b.y, b.z])
    }

    /// Slice Thickness of the source, where it states none the part of space that the slice stands for.
    private static func thickness(_ series: CTSeries, slice: Int) -> Double {
        series.frames[slice].sliceThicknessMM.flatMap { $0 > 0 ? $0 : nil } ?? tidy(series.grid.thicknessesMM[slice])
    }

    private func writeMeasures(_ groups: DataSet, slice: Int) throws {
        let measures = try groups.addItem(.pixelMeasuresSequence), grid = series.grid
        try measures.set(.sliceThickness, Self.thickness(series, slice: slice))
        if grid.isRegular { try measures.set(.spacingBetweenSlices, grid.working.spacingMM.z) }
        try measures.set(.pixelSpacing, [grid.pixelSpacingMM.y, grid.pixelSpacingMM.x])
    }

    /// Per-Frame Functional Groups Sequence, encoded.
    ///
    /// Frames differ by their slice and by their segment alone: what each slice and each segment state is encoded once, and put
    /// together frame by frame. A data set of 9,000 items would take longer than all their pixels.
    func perFrame(_ frames: [SegmentationFrames.Frame]) throws -> [UInt8] {
        // Dimension indices count the slices that have a frame, from 1 (PS3.3 C.7.6.17.1).
        let slices = Set(frames.map(\.slice)).sorted()
        let place = Dictionary(uniqueKeysWithValues: zip(slices, 1...))
        var derivations: [Int: [UInt8]] = [:], planes: [Int: [UInt8]] = [:], segments: [Int: [UInt8]] = [:], items: [UInt8] = []
        for slice in slices { (derivations[slice], planes[slice]) = (try derivation(slice), try plane(slice)) }
        for number in Set(frames.compactMap(\.segment)) {
            segments[number] = try Self.encoded { try $0.addItem(.segmentIdentificationSequence).set(.referencedSegmentNumber, number) }
        }
        let content = try Self.encoded {
            try $0.addItem(.frameContentSequence).set(.dimensionIndexValues, [Int](repeating: 0, count: frames[0].segment == nil ? 1 : 2))
        }
        for frame in frames {
            // In the order of their tags.
            let index = (frame.segment.map { [UInt32($0)] } ?? []) + [UInt32(place[frame.slice]!)]
            let item = derivations[frame.slice]! + content.dropLast(4 * index.count) + index.flatMap(littleEndian)
                + planes[frame.slice]! + (frame.segment.map { segments[$0]! } ?? [])
            items += Encoding.item + littleEndian(UInt32(item.count)) + item
        }
        return try Encoding.header(.perFrameFunctionalGroupsSequence, "SQ", items.count) + items
    }

    private func derivation(_ slice: Int) throws -> [UInt8] {
        try Self.encoded {
            let derivation = try $0.addItem(.derivationImageSequence)
            try derivation.set(.derivationCodeSequence, CodedConcept(value: "113076", scheme: "DCM", meaning: "Segmentation"))
            let image = try derivation.addReference(.sourceImageSequence, to: series.frames[slice])
            try image.set(.spatialLocationsPreserved, "YES")
            try image.set(.purposeOfReferenceCodeSequence,
                          CodedConcept(value: "121322", scheme: "DCM", meaning: "Source image for image processing operation"))
        }
    }

    private func plane(_ slice: Int) throws -> [UInt8] {
        try Self.encoded {
            let position = series.grid.originsLPS[slice]
            try $0.addItem(.planePositionSequence).set(.imagePositionPatient, [position.x, position.y, position.z].map(Self.tidy))
            if !sharesThickness { try writeMeasures($0, slice: slice) }
        }
    }

    private static func encoded(_ fill: (DataSet) throws -> Void) throws -> [UInt8] {
        let d = DataSet()
        try fill(d)
        return try d.encoded(as: .explicitVRLittleEndian)
    }

    /// Without the last digits, which are the arithmetic's and not the scanner's, and without a minus before zero.
    private static func tidy(_ value: Double) -> Double { (value * 1e8).rounded() / 1e8 + 0 }
}
