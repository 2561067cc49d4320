import DICOMCore
import DICOMImaging
import Foundation
import NodeTesting

extension Mutation {
    private static let stranger = "1.2.3.4"

    static let encoding: [Mutation] = [
        .bytes(.segmentation, "the file is no Part 10 file") { $0[128] = 0 },
        .bytes(.segmentation, "the file meta information has no group length") { $0[134] = 1 },
        .bytes(.segmentation, "transfer syntax 1.2.840.10008.1.2.2 is none that objects are written in") {
            let at = try place(.transferSyntaxUID, "UI", in: $0)
            $0[at + 8 + 18] = UInt8(ascii: "2")
        },
        .bytes(.segmentation, "its file meta information has no version") { $0[try place(.fileMetaInformationVersion, "OB", in: $0) + 13] = 2 },
        .bytes(.segmentation, "its file meta information names no implementation") { $0[try place(.implementationClassUID, "UI", in: $0) + 2] = 0x11 },
        .bytes(.segmentation, "the SOP Instance UID of its file meta information is another than its own") {
            let at = try place(.mediaStorageSOPInstanceUID, "UI", in: $0) + 8 + 10
            $0[at] = $0[at] == 0x31 ? 0x32 : 0x31
        },
        .bytes(.segmentation, "the SOP Class UID of its file meta information is another than its own") { $0[try place(.mediaStorageSOPClassUID, "UI", in: $0) + 8 + 24] = 0x35 },
        .bytes(.structureSet, "goes beyond what holds it") { $0.removeLast(10) },
        .bytes(.structureSet, "AccessionNumber (0008,0050) is out of order") { $0 += [0x08, 0, 0x50, 0, 0x53, 0x48, 0, 0] },
        .bytes(.structureSet, "StructureSetLabel (3006,0002) has an odd length") {
            let at = try place(.structureSetLabel, "SH", in: $0)
            $0[at + 6] = 15
            $0.remove(at: at + 8)
        },
        .bytes(.structureSet, "StructureSetLabel (3006,0002) is written with VR UN") { $0.replaceSubrange(try place(.structureSetLabel, "SH", in: $0) + 4..<place(.structureSetLabel, "SH", in: $0) + 6, with: "UN".utf8) },
        .bytes(.structureSet, "StructureSetLabel (3006,0002) is written with VR unknown") { $0[try place(.structureSetLabel, "SH", in: $0) + 4] = 0x5A },
        .bytes(.structureSet, "StructureSetLabel (3006,0002) is written with VR LO, not SH") { $0.replaceSubrange(try place(.structureSetLabel, "SH", in: $0) + 4..<place(.structureSetLabel, "SH", in: $0) + 6, with: "LO".utf8) },
        .bytes(.structureSet, "StructureSetLabel (3006,0002) holds a value of more than 16 characters") {
            let at = try place(.structureSetLabel, "SH", in: $0)
            $0[at + 6] = 18
            $0.insert(contentsOf: "XX".utf8, at: at + 8)
        },
        .bytes(.structureSet, "ContourData (3006,0050) holds a value of more than 16 characters") { $0.replaceSubrange(try place(.contourData, "DS", in: $0) + 8..<place(.contourData, "DS", in: $0) + 28, with: "12345678901234567890".utf8) },
        .bytes(.structureSet, "ContourData (3006,0050) holds a value that is no number") { $0[try place(.contourData, "DS", in: $0) + 8] = UInt8(ascii: "e") },
        .bytes(.segmentation, "SegmentationType (0062,0001) holds a character that its VR does not allow") { $0[try place(.segmentationType, "CS", in: $0) + 9] = UInt8(ascii: "i") },
        .bytes(.segmentation, "ContentDate (0008,0023) holds a character that its VR does not allow") { $0[try place(.contentDate, "DA", in: $0) + 12] = UInt8(ascii: "-") },
        .bytes(.segmentation, "SeriesInstanceUID (0020,000E) holds a UID with a component that is empty or begins with zero") { $0[try place(.seriesInstanceUID, "UI", in: $0) + 13] = UInt8(ascii: "0") },
        .bytes(.segmentation, "SharedFunctionalGroupsSequence (5200,9229) holds something else than items") { $0[try place(.sharedFunctionalGroupsSequence, "SQ", in: $0) + 12] = 0xFD },
        .bytes(.segmentation, "goes beyond what holds it") { $0[try place(.sharedFunctionalGroupsSequence, "SQ", in: $0) + 16] -= 2 },
    ]

    static let common: [Mutation] = [
        .seg("its SOP Instance UID is not the one that the worker reported") { try $0.set(.sopInstanceUID, stranger) },
        .seg("its SOP Class UID is not the one that the worker reported") { try $0.set(.sopClassUID, SOPClass.labelMapSegmentationStorage) },
        .rt("its Series Instance UID is missing, or the source's") { d in try d.set(.seriesInstanceUID, d.first(.referencedFrameOfReferenceSequence, .rtReferencedStudySequence, .rtReferencedSeriesSequence).string(.seriesInstanceUID)!) },
        .rt("its Series Instance UID is missing, or the source's") { $0.remove(.seriesInstanceUID) },
        .rt("its Modality is not RTSTRUCT") { try $0.set(.modality, "RTPLAN") },
        .sr("its Modality is not SR") { try $0.set(.modality, "SEG") },
        .seg("its Study Instance UID is not the source's") { try $0.set(.studyInstanceUID, stranger) },
        .seg("its Frame of Reference UID is not the source's") { try $0.set(.frameOfReferenceUID, stranger) },
        .seg("its Frame of Reference UID is not the source's") { $0.remove(.frameOfReferenceUID) },
        .rt("its Frame of Reference UID is not the source's") { try $0.set(.frameOfReferenceUID, stranger) },
        .seg("PatientName (0010,0010) is not the source's") { try $0.set(.patientName, "OTHER") },
        .rt("PatientID (0010,0020) is not the source's") { try $0.set(.patientID, "OTHER") },
        .sr("PatientID (0010,0020) is not the source's") { try $0.set(.patientID, "UNKNOWN") },
        .sr("PatientID (0010,0020) is missing") { $0.remove(.patientID) },
        .rt("PatientBirthDate (0010,0030) is not the source's") { try $0.set(.patientBirthDate, "") },
        .rt("PatientSex (0010,0040) is not the source's") { try $0.set(.patientSex, "F") },
        .seg("IssuerOfPatientID (0010,0021) is not the source's") { try $0.set(.issuerOfPatientID, "OTHER") },
        .seg("PatientAge (0010,1010) is not the source's") { try $0.set(.patientAge, "050Y") },
        .seg("PatientComments (0010,4000) is not the source's") { try $0.set(.patientComments, "OTHER") },
        .seg("OtherPatientIDsSequence (0010,1002) is not the source's") { try $0.addItem(.otherPatientIDsSequence).set(.patientID, "OTHER") },
        .seg("SpecificCharacterSet (0008,0005) is not the source's") { try $0.set(.specificCharacterSet, "ISO_IR 100") },
        .seg("StudyDate (0008,0020) is not the source's") { try $0.set(.studyDate, "20260103") },
        .seg("AccessionNumber (0008,0050) is missing") { $0.remove(.accessionNumber) },
        .seg("AccessionNumber (0008,0050) is not the source's") { try $0.set(.accessionNumber, "A-2") },
        .seg("StudyDescription (0008,1030) is not the source's") { try $0.set(.studyDescription, "OTHER") },
        .seg("its Series Description does not say that it is unapproved") { try $0.set(.seriesDescription, "CONTOURS") },
        .seg("a code of SegmentedPropertyTypeCodeSequence (0062,000F) is a placeholder") { try $0.first(.segmentSequence, .segmentedPropertyTypeCodeSequence).set(.codeValue, "99999") },
        .seg("a code of SegmentedPropertyTypeCodeSequence (0062,000F) has no value, scheme or meaning") { $0.first(.segmentSequence, .segmentedPropertyTypeCodeSequence).remove(.codeValue) },
        .rt("a code of RTROIIdentificationCodeSequence (3006,0086) is of private scheme 99OTHER") { try $0.first(.rtROIObservationsSequence, .rtROIIdentificationCodeSequence).set(.codingSchemeDesignator, "99OTHER") },
        .seg("it refers to series 1.2.3.4, which is neither the source nor of this job") { try $0.first(.referencedSeriesSequence).set(.seriesInstanceUID, stranger) },
        .seg("it refers to instance 1.2.3.4, which is no stored instance of the series") { try $0.first(.referencedSeriesSequence, .referencedInstanceSequence).set(.referencedSOPInstanceUID, stranger) },
        .seg("as of another SOP class") { try $0.first(.referencedSeriesSequence, .referencedInstanceSequence).set(.referencedSOPClassUID, SOPClass.mrImageStorage) },
        .rt("it refers to another study") { try $0.first(.referencedFrameOfReferenceSequence, .rtReferencedStudySequence).set(.referencedSOPInstanceUID, stranger) },
        .seg("it refers to a frame that instance") { try $0.frame(0).first(.derivationImageSequence, .sourceImageSequence).set(.referencedFrameNumber, 2) },
        .sr("it refers to segment 9, which instance") { try $0.content("Referenced Segment").first(.referencedSOPSequence).set(.referencedSegmentNumber, 9) },
        .rt("another object of the job has its Series Instance UID") { d in
            // The SEG's series, as its sibling the report knows it.
            try d.set(.seriesInstanceUID, CheckedObjects.seriesOfSEG)
        },
    ]

    /// Of a SEG with a frame for each segment.
    static let segmentation: [Mutation] = [
        .seg("its Segmentation Type is not of its SOP class") { try $0.set(.segmentationType, "LABELMAP") },
        .seg("it has 2 items of shared functional groups, not one") { _ = try $0.addItem(.sharedFunctionalGroupsSequence) },
        .seg("its bits are not those of Segmentation Type ") { try $0.set(.bitsAllocated, 16) },
        .seg("Number of Frames is 3, but there are") { try $0.set(.numberOfFrames, 3) },
        .seg("items of per-frame functional groups") { _ = try $0.addItem(.perFrameFunctionalGroupsSequence) },
        .seg("its pixels are not single unsigned numbers") { try $0.set(.pixelRepresentation, 1) },
        .seg("its Photometric Interpretation is not that of a segmentation") { try $0.set(.photometricInterpretation, "MONOCHROME1") },
        .seg("it has no pixel data") { $0.remove(.pixelData) },
        .seg("it has no rows or columns") { $0.remove(.rows) },
        .seg("bytes, but rows, columns and frames need") { d in try d.set(.pixelData, bytes: Array(d.bytes(.pixelData)!.dropLast(2))) },
        .seg("its segments are not numbered 1, 2, 3 ...") { try $0.items(.segmentSequence)[1].set(.segmentNumber, 3) },
        .seg("segment 1 has no label") { try $0.first(.segmentSequence).set(.segmentLabel, "") },
        .seg("segment 2 is not marked AUTOMATIC") { try $0.items(.segmentSequence)[1].set(.segmentAlgorithmType, "MANUAL") },
        .seg("segment 2 names no algorithm") { $0.items(.segmentSequence)[1].remove(.segmentAlgorithmName) },
        .seg("segment 3 has no tracking identifier") { $0.items(.segmentSequence)[2].remove(.trackingID) },
        .seg("segment 2 has the Tracking UID of another") { d in try d.items(.segmentSequence)[1].set(.trackingUID, d.first(.segmentSequence).string(.trackingUID)!) },
        .seg("segment 1 has no single item in SegmentedPropertyCategoryCodeSequence (0062,0003)") { $0.first(.segmentSequence).remove(.segmentedPropertyCategoryCodeSequence) },
        .seg("segment 1 has no colour") { $0.first(.segmentSequence).remove(.recommendedDisplayCIELabValue) },
        .seg("its Referenced Series Sequence does not name the source") { $0.remove(.referencedSeriesSequence) },
        .seg("it has no dimensions") { $0.remove(.dimensionIndexSequence) },
        .seg("frame 1 names no single source image") { $0.frame(0).remove(.derivationImageSequence) },
        .seg("names an image that the Referenced Series Sequence does not list") { d in
            let series = d.first(.referencedSeriesSequence), all = series.items(.referencedInstanceSequence).map { $0.string(.referencedSOPInstanceUID)! }
            series.remove(.referencedInstanceSequence)
            let item = try series.addItem(.referencedInstanceSequence)
            try item.set(.referencedSOPClassUID, SOPClass.ctImageStorage)
            try item.set(.referencedSOPInstanceUID, all[0])
        },
        .seg("frame 1 has other rows or columns than its source image") { d in
            let (rows, columns) = (d.integer(.rows)!, d.integer(.columns)!)
            try d.set(.rows, columns)
            try d.set(.columns, rows)
        },
        .seg("frame 2 lies elsewhere than its source image") { d in
            let plane = d.frame(1).first(.planePositionSequence), p = plane.doubles(.imagePositionPatient)
            try plane.set(.imagePositionPatient, [p[0], p[1], p[2] + 0.3])
        },
        .seg("frame 1 has no position") { $0.frame(0).remove(.planePositionSequence) },
        .seg("frame 1 is oriented otherwise than its source image") { try $0.first(.sharedFunctionalGroupsSequence, .planeOrientationSequence).set(.imageOrientationPatient, [-1.0, 0, 0, 0, 1, 0]) },
        .seg("frame 1 has no orientation") { $0.first(.sharedFunctionalGroupsSequence).remove(.planeOrientationSequence) },
        .seg("frame 1 has another pixel spacing than its source image") { try $0.first(.sharedFunctionalGroupsSequence, .pixelMeasuresSequence).set(.pixelSpacing, [4.0, 4.5]) },
        .seg("frame 1 has no pixel spacing") { $0.first(.sharedFunctionalGroupsSequence, .pixelMeasuresSequence).remove(.pixelSpacing) },
        .seg("frame 1 has no slice thickness") { $0.first(.sharedFunctionalGroupsSequence, .pixelMeasuresSequence).remove(.sliceThickness) },
        .seg("frame 1 is of a segment that is not described") { try $0.frame(0).first(.segmentIdentificationSequence).set(.referencedSegmentNumber, 7) },
        .seg("frame 2 is of the same segment and image as another") { d in
            let (one, two) = (d.frame(0), d.frame(1))
            for tag: DICOMCore.Tag in [.derivationImageSequence, .planePositionSequence, .frameContentSequence] { try two.copy(tag, from: one) }
        },
        .seg("frame 1 has no index in each dimension") { try $0.frame(0).first(.frameContentSequence).set(.dimensionIndexValues, [1]) },
        .seg("in dimension 1 is that of another value") { d in try d.frame(0).first(.frameContentSequence).set(.dimensionIndexValues, [2] + d.frame(0).first(.frameContentSequence).integers(.dimensionIndexValues).dropFirst()) },
        .seg("in dimension 2 is that of another value") { d in try d.frame(0).first(.frameContentSequence).set(.dimensionIndexValues, [1, d.frame(1).first(.frameContentSequence).integers(.dimensionIndexValues)[1]]) },
        .seg("segment 4 has no frame") { d in
            let last = d.items(.segmentSequence)[2], item = try d.addItem(.segmentSequence)
            for tag: DICOMCore.Tag in [.segmentLabel, .segmentAlgorithmType, .segmentAlgorithmName, .trackingID, .recommendedDisplayCIELabValue,
                                       .segmentedPropertyCategoryCodeSequence, .segmentedPropertyTypeCodeSequence] { try item.copy(tag, from: last) }
            try item.set(.segmentNumber, 4)
            try item.set(.trackingUID, stranger)
        },
    ]

    static let structureSet: [Mutation] = [
        .rt("its Approval Status is not UNAPPROVED") { try $0.set(.approvalStatus, "APPROVED") },
        .rt("it has no Structure Set Label") { try $0.set(.structureSetLabel, "") },
        .rt("its Referenced Frame of Reference is not the source's alone") { try $0.first(.referencedFrameOfReferenceSequence).set(.frameOfReferenceUID, stranger) },
        .rt("its RT Referenced Series Sequence is not the source alone") { $0.first(.referencedFrameOfReferenceSequence, .rtReferencedStudySequence).remove(.rtReferencedSeriesSequence) },
        .rt("it lists no images") { $0.first(.referencedFrameOfReferenceSequence, .rtReferencedStudySequence, .rtReferencedSeriesSequence).remove(.contourImageSequence) },
        .rt("its ROI numbers are missing or not unique") { try $0.items(.structureSetROISequence)[1].set(.roiNumber, 1) },
        .rt("ROI 1 has no name") { try $0.first(.structureSetROISequence).set(.roiName, "") },
        .rt("ROI 1 is not marked AUTOMATIC") { try $0.first(.structureSetROISequence).set(.roiGenerationAlgorithm, "MANUAL") },
        .rt("ROI 1 lies in another frame of reference than the source") { try $0.first(.structureSetROISequence).set(.referencedFrameOfReferenceUID, stranger) },
        .rt("its observation numbers are not unique") { try $0.items(.rtROIObservationsSequence)[1].set(.observationNumber, 1) },
        .rt("not every ROI has one observation") { try $0.items(.rtROIObservationsSequence)[1].set(.referencedROINumber, 1) },
        .rt("an observation has no type or no interpreter element") { $0.first(.rtROIObservationsSequence).remove(.rtROIInterpretedType) },
        .rt("contours are of an ROI that is not described, or of one twice") { try $0.first(.roiContourSequence).set(.referencedROINumber, 99) },
        .rt("contours are of an ROI that is not described, or of one twice") { try $0.items(.roiContourSequence)[1].set(.referencedROINumber, 1) },
        .rt("it has no contours") { $0.remove(.roiContourSequence) },
        .rt("ROI 1 has no colour of three numbers from 0 to 255") { try $0.first(.roiContourSequence).set(.roiDisplayColor, [256, 0, 0]) },
        .rt("ROI 1 has an item of contours without any") { $0.first(.roiContourSequence).remove(.contourSequence) },
        .rt("contour 1 of ROI 1 is no closed planar contour") { try $0.first(.roiContourSequence, .contourSequence).set(.contourGeometricType, "POINT") },
        .rt("contour 1 of ROI 1 names no single image of the series") { $0.first(.roiContourSequence, .contourSequence).remove(.contourImageSequence) },
        .rt("names an image that the object does not list") { d in
            let series = d.first(.referencedFrameOfReferenceSequence, .rtReferencedStudySequence, .rtReferencedSeriesSequence)
            let one = series.items(.contourImageSequence)[0].string(.referencedSOPInstanceUID)!
            series.remove(.contourImageSequence)
            let item = try series.addItem(.contourImageSequence)
            try item.set(.referencedSOPClassUID, SOPClass.ctImageStorage)
            try item.set(.referencedSOPInstanceUID, one)
        },
        .rt("contour 1 of ROI 1 has no triplets of coordinates") { d in try spoilContour(d) { $0.removeLast() } },
        .rt("contour 1 of ROI 1 has fewer than three points") { d in try spoilContour(d) { $0 = Array($0[..<6]) } },
        .rt("contour 1 of ROI 1 has another number of points than it says") { try $0.first(.roiContourSequence, .contourSequence).set(.numberOfContourPoints, 4444) },
        .rt("contour 1 of ROI 1 repeats its first point at its end") { d in
            try spoilContour(d) { $0 += $0[..<3] }
            let contour = d.first(.roiContourSequence, .contourSequence)
            try contour.set(.numberOfContourPoints, contour.doubles(.contourData).count / 3)
        },
        .rt("contour 1 of ROI 1 leaves the plane of its image") { d in try spoilContour(d) { $0[5] += 0.2 } },
        .rt("contour 1 of ROI 1 leaves the plane of its image") { d in try spoilContour(d) { for n in stride(from: 2, to: $0.count, by: 3) { $0[n] += 1 } } },
        .rt("contour 1 of ROI 1 leaves its image") { d in try spoilContour(d) { $0[0] = 5000 } },
    ]

    private static func spoilContour(_ d: DataSet, _ change: (inout [Double]) -> Void) throws {
        let contour = d.first(.roiContourSequence, .contourSequence)
        var values = contour.doubles(.contourData)
        change(&values)
        try contour.set(.contourData, values)
    }

    static let report: [Mutation] = [
        .sr("its Verification Flag is not UNVERIFIED") { try $0.set(.verificationFlag, "VERIFIED") },
        .sr("it has no Completion Flag") { $0.remove(.completionFlag) },
        .sr("it is no report by TID 1500") { try $0.first(.contentTemplateSequence).set(.templateIdentifier, "2000") },
        .sr("its evidence is of another study") { try $0.first(.currentRequestedProcedureEvidenceSequence).set(.studyInstanceUID, stranger) },
        .sr("its evidence has instance") { d in
            let series = d.first(.currentRequestedProcedureEvidenceSequence).items(.referencedSeriesSequence)
            try series[1].set(.seriesInstanceUID, series[0].string(.seriesInstanceUID)!)
        },
        .sr("which is not in its evidence") { d in
            let series = d.first(.currentRequestedProcedureEvidenceSequence).items(.referencedSeriesSequence)[0]
            let kept = series.items(.referencedSOPSequence)[0].string(.referencedSOPInstanceUID)!
            series.remove(.referencedSOPSequence)
            let item = try series.addItem(.referencedSOPSequence)
            try item.set(.referencedSOPClassUID, SOPClass.ctImageStorage)
            try item.set(.referencedSOPInstanceUID, kept)
        },
        .sr("a measurement has no number or no unit") { $0.content("Volume").first(.measuredValueSequence).remove(.numericValue) },
        .sr("a measurement has no number or no unit") { $0.content("Attenuation Coefficient").first(.measuredValueSequence).remove(.measurementUnitsCodeSequence) },
        .sr("it has no measurement group") { $0.content("Imaging Measurements").remove(.contentSequence) },
        .sr("measurement group 1 has no tracking identifier") { try $0.content("Tracking Identifier").set(.textValue, "") },
        .sr("measurement group 1 has no tracking UID") { $0.content("Tracking Unique Identifier").remove(.uid) },
        .sr("measurement group 1 does not say what became of its structure") { $0.content("State of contour").remove(.conceptCodeSequence) },
        .sr("measurement group 1 is of another source series") { try $0.content("Source series for segmentation").set(.uid, stranger) },
        .sr("measurement group 1 does not refer to a segment as its template demands") { try $0.content("Measurement Group").first(.contentTemplateSequence).set(.templateIdentifier, "1501") },
        .sr("measurement group 1 refers to a segment that tracks another structure") { try $0.content("Referenced Segment").first(.referencedSOPSequence).set(.referencedSegmentNumber, 2) },
    ]

    static let captures: [Mutation] = [
        .overlay("its Frame of Reference UID is not the source's") { $0.remove(.frameOfReferenceUID) },
        .overlay("another object of the job has its Series Instance UID") { try $0.set(.seriesInstanceUID, CheckedObjects.seriesOfSEG) },
        .overlay("it names no single source image") { $0.remove(.sourceImageSequence) },
        .overlay("it has no plane") { $0.remove(.imagePositionPatient) },
        .overlay("it lies on another plane than its source image") { d in
            let p = d.doubles(.imagePositionPatient)
            try d.set(.imagePositionPatient, [p[0], p[1], p[2] + 1])
        },
        .overlay("it is oriented otherwise than its source image") { try $0.set(.imageOrientationPatient, [1.0, 0, 0, 0, -1, 0]) },
        .sheet("its samples are not those of its Photometric Interpretation") { try $0.set(.samplesPerPixel, 1) },
        .sheet("its pixels are not of eight bits") { try $0.set(.bitsStored, 7) },
        .sheet("it has no Conversion Type") { $0.remove(.conversionType) },
        .sheet("it does not say whether text is burned in") { $0.remove(.burnedInAnnotation) },
        .sheet("bytes, but rows, columns and frames need") { try $0.set(.columns, 16) },
        .sheet("its Series Description does not say that it is unapproved") { try $0.set(.seriesDescription, "SUMMARY") },
        .sheet("PatientID (0010,0020) is not the source's") { try $0.set(.patientID, "") },
        .pdf("its Verification Flag is not UNVERIFIED") { $0.remove(.verificationFlag) },
        .pdf("its MIME type is not that of a PDF") { try $0.set(.mimeTypeOfEncapsulatedDocument, "text/xml") },
        .pdf("it holds no PDF") { try $0.set(.encapsulatedDocument, bytes: [1, 2]) },
        .pdf("its PDF has no end") { d in try d.set(.encapsulatedDocument, bytes: Array(d.bytes(.encapsulatedDocument)![..<100])) },
        .pdf("its Encapsulated Document Length is another than its document's") { try $0.set(.encapsulatedDocumentLength, 77) },
        .pdf("it refers to instance 1.2.3.4, which is no stored instance of the series") { try $0.first(.sourceInstanceSequence).set(.referencedSOPInstanceUID, stranger) },
        .pdf("its Study Instance UID is not the source's") { try $0.set(.studyInstanceUID, stranger) },
    ]
}
