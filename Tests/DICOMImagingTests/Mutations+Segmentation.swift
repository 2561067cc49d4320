import DICOMCore
import DICOMImaging
import NodeTesting

/// Rules of one form of a SEG alone.
extension Mutation {
    static let binary: [Mutation] = [
        .seg("its bits are not those of Segmentation Type BINARY") { try $0.set(.highBit, 7) },
        .seg("its bits are not those of Segmentation Type FRACTIONAL") { try $0.set(.segmentationType, "FRACTIONAL") },
        .seg("it says how fractions are meant, but holds none") { try $0.set(.segmentationFractionalType, "PROBABILITY") },
        .seg("it says how fractions are meant, but holds none") { try $0.set(.maximumFractionalValue, 1) },
    ]

    static let fractional: [Mutation] = [
        .seg("its bits are not those of Segmentation Type BINARY") { try $0.set(.segmentationType, "BINARY") },
        .seg("its bits are not those of Segmentation Type OTHER") { try $0.set(.segmentationType, "OTHER") },
        .seg("its bits are not those of Segmentation Type FRACTIONAL") { try $0.set(.bitsStored, 7) },
        .seg("its bits are not those of Segmentation Type FRACTIONAL") { try $0.set(.highBit, 6) },
        .seg("its Segmentation Fractional Type is neither PROBABILITY nor OCCUPANCY") { $0.remove(.segmentationFractionalType) },
        .seg("its Segmentation Fractional Type is neither PROBABILITY nor OCCUPANCY") { try $0.set(.segmentationFractionalType, "OTHER") },
        .seg("its Maximum Fractional Value is not from 1 to 255") { $0.remove(.maximumFractionalValue) },
        .seg("its Maximum Fractional Value is not from 1 to 255") { try $0.set(.maximumFractionalValue, 0) },
        .seg("its Maximum Fractional Value is not from 1 to 255") { try $0.set(.maximumFractionalValue, 256) },
        .seg("a pixel is 255, above its Maximum Fractional Value") { try $0.set(.maximumFractionalValue, 254) },
        .seg("its segments are not numbered 1, 2, 3 ...") { try $0.first(.segmentSequence).set(.segmentNumber, 0) },
        .seg("frame 1 is of a segment that is not described") { $0.frame(0).remove(.segmentIdentificationSequence) },
    ]

    static let labelMap: [Mutation] = [
        .seg("its Segmentation Type is not of its SOP class") { try $0.set(.segmentationType, "BINARY") },
        .seg("its Segmentation Type is not of its SOP class") { try $0.set(.segmentationType, "FRACTIONAL") },
        .seg("its bits are not those of Segmentation Type LABELMAP") { try $0.set(.bitsAllocated, 1) },
        .seg("its bits are not those of Segmentation Type LABELMAP") { try $0.set(.bitsAllocated, 32) },
        .seg("its bits are not those of Segmentation Type LABELMAP") { try $0.set(.bitsStored, 7) },
        .seg("its bits are not those of Segmentation Type LABELMAP") { try $0.set(.highBit, 6) },
        .seg("its pixels are not single unsigned numbers") { try $0.set(.pixelRepresentation, 1) },
        .seg("its pixels are not single unsigned numbers") { try $0.set(.samplesPerPixel, 3) },
        // There is no palette.
        .seg("its Photometric Interpretation is not that of a segmentation") { try $0.set(.photometricInterpretation, "PALETTE COLOR") },
        .seg("it says how fractions are meant, but holds none") { try $0.set(.segmentationFractionalType, "PROBABILITY") },
        .seg("its segments overlap, which those of a label map cannot") { try $0.set(.segmentsOverlap, "YES") },
        .seg("its segments overlap, which those of a label map cannot") { try $0.set(.segmentsOverlap, "UNDEFINED") },
        .seg("its Pixel Padding Value is not the number of its background, 0") { try $0.set(.pixelPaddingValue, 1) },
        .seg("its Pixel Padding Value is not the number of its background, 0") { $0.remove(.pixelPaddingValue) },
        .seg("it has no pixel data") { $0.remove(.pixelData) },
        .seg("bytes, but rows, columns and frames need") { d in try d.set(.pixelData, bytes: Array(d.bytes(.pixelData)!.dropLast(2))) },
        .seg("Number of Frames is 1999, but there are") { try $0.set(.numberOfFrames, 1999) },
        .seg("items of per-frame functional groups") { _ = try $0.addItem(.perFrameFunctionalGroupsSequence) },
        .seg("its segments are not numbered 1, 2, 3 ...") { d in try d.items(.segmentSequence)[1].set(.segmentNumber, d.items(.segmentSequence).count) },
        .seg("its segments are not numbered 1, 2, 3 ...") { try $0.items(.segmentSequence)[1].set(.segmentNumber, 0) },
        .seg("its segments are not numbered 1, 2, 3 ...") { $0.remove(.segmentSequence) },
        .seg("segment 0 has no label") { try $0.first(.segmentSequence).set(.segmentLabel, "") },
        .seg("segment 0 is not marked AUTOMATIC") { $0.first(.segmentSequence).remove(.segmentAlgorithmType) },
        .seg("segment 0 names no algorithm") { $0.first(.segmentSequence).remove(.segmentAlgorithmName) },
        .seg("segment 0 has no single item in SegmentedPropertyTypeCodeSequence (0062,000F)") { $0.first(.segmentSequence).remove(.segmentedPropertyTypeCodeSequence) },
        .seg("segment 0 is not the background") { d in try d.first(.segmentSequence).copy(.segmentedPropertyTypeCodeSequence, from: d.items(.segmentSequence)[1]) },
        .seg("segment 1 is the background") { d in try d.items(.segmentSequence)[1].copy(.segmentedPropertyTypeCodeSequence, from: d.first(.segmentSequence)) },
        .seg("segment 1 has no label") { try $0.items(.segmentSequence)[1].set(.segmentLabel, "") },
        .seg("segment 2 has no tracking identifier") { $0.items(.segmentSequence)[2].remove(.trackingUID) },
        .seg("segment 2 has the Tracking UID of another") { d in try d.items(.segmentSequence)[2].set(.trackingUID, d.items(.segmentSequence)[1].string(.trackingUID)!) },
        .seg("frame 1 names no single source image") { $0.frame(0).remove(.derivationImageSequence) },
        .seg("frame 1 lies elsewhere than its source image") { d in
            let plane = d.frame(0).first(.planePositionSequence), p = plane.doubles(.imagePositionPatient)
            try plane.set(.imagePositionPatient, [p[0], p[1], p[2] + 0.3])
        },
        .seg("frame 1 has no position") { $0.frame(0).remove(.planePositionSequence) },
        .seg("frame 1 names a segment, but is of all") { try $0.frame(0).addItem(.segmentIdentificationSequence).set(.referencedSegmentNumber, 1) },
        .seg("frame 1 names a segment, but is of all") { _ = try $0.frame(0).addItem(.segmentIdentificationSequence) },
        .seg("frame 1 names a segment, but is of all") { try $0.first(.sharedFunctionalGroupsSequence).addItem(.segmentIdentificationSequence).set(.referencedSegmentNumber, 1) },
        .seg("a dimension of it is of segments, of which its frames name none") { d in
            let dimension = d.first(.dimensionIndexSequence)
            try dimension.set(.dimensionIndexPointer, [DICOMCore.Tag.referencedSegmentNumber])
            try dimension.set(.functionalGroupPointer, [DICOMCore.Tag.segmentIdentificationSequence])
        },
        .seg("frame 1 has no index in each dimension") { try $0.frame(0).first(.frameContentSequence).set(.dimensionIndexValues, [1, 1]) },
        .seg("a pixel is 0, which no segment describes") { d in
            let all = d.items(.segmentSequence), kept = DataSet()
            for segment in all.dropFirst() {
                let item = try kept.addItem(.segmentSequence)
                for tag: DICOMCore.Tag in [.segmentNumber, .segmentLabel, .segmentAlgorithmType, .segmentAlgorithmName, .trackingID, .trackingUID, .recommendedDisplayCIELabValue,
                                           .segmentedPropertyCategoryCodeSequence, .segmentedPropertyTypeCodeSequence] { try item.copy(tag, from: segment) }
            }
            d.remove(.segmentSequence)
            try d.copy(.segmentSequence, from: kept)
        },
    ]

    /// Of eight bits, with several frames and a report.
    static let narrowLabelMap: [Mutation] = [
        .seg("bytes, but rows, columns and frames need") { for tag: DICOMCore.Tag in [.bitsAllocated, .bitsStored] { try $0.set(tag, 16) }; try $0.set(.highBit, 15) },
        .bytes(.segmentation, "a pixel is 4, which no segment describes") { $0[$0.count - 1] = 4 },
        .bytes(.segmentation, "a pixel is 255, which no segment describes") { $0[$0.count - 1] = 255 },
        .seg("frame 2 is of the same segment and image as another") { d in
            let (one, two) = (d.frame(0), d.frame(1))
            for tag: DICOMCore.Tag in [.derivationImageSequence, .planePositionSequence, .frameContentSequence] { try two.copy(tag, from: one) }
        },
        .seg("the index of frame 2 in dimension 1 is that of another value") { try $0.frame(1).first(.frameContentSequence).set(.dimensionIndexValues, [1]) },
        .bytes(.segmentation, "its pixel data have fewer fragments than frames") { try compress(&$0, fragments: 1) },
        .bytes(.segmentation, "its pixels are compressed") { try compress(&$0, fragments: 20) },
        .sr("measurement group 1 refers to a segment that tracks another structure") { try $0.content("Referenced Segment").first(.referencedSOPSequence).set(.referencedSegmentNumber, 0) },
    ]

    /// Of sixteen bits and 256 structures.
    static let wideLabelMap: [Mutation] = [
        .seg("bytes, but rows, columns and frames need") { for tag: DICOMCore.Tag in [.bitsAllocated, .bitsStored] { try $0.set(tag, 8) }; try $0.set(.highBit, 7) },
        .bytes(.segmentation, "a pixel is 257, which no segment describes") { $0.replaceSubrange($0.count - 2..<$0.count, with: [1, 1]) },
        .bytes(.segmentation, "a pixel is 65535, which no segment describes") { $0.replaceSubrange($0.count - 2..<$0.count, with: [255, 255]) },
        .bytes(.segmentation, "its pixels of 16 bits are written with VR OB") {
            let at = try place(.pixelData, "OW", in: $0)
            $0[at + 5] = UInt8(ascii: "B")
        },
    ]

    /// Turns pixel data of bytes into RLE of fragments without meaning.
    private static func compress(_ bytes: inout [UInt8], fragments: Int) throws {
        bytes[try place(.transferSyntaxUID, "UI", in: bytes) + 8 + 18] = UInt8(ascii: "5")
        bytes.removeSubrange((try place(.pixelData, "OB", in: bytes) + 8)...)
        let item: [UInt8] = [0xFE, 0xFF, 0, 0xE0]
        bytes += [255, 255, 255, 255] + item + [0, 0, 0, 0]
        for _ in 0..<fragments { bytes += item + [2, 0, 0, 0, 0, 0] }
        bytes += [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]
    }
}
