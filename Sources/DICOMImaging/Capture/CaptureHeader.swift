import DICOMCore
import Foundation

/// What captures and documents state beside the common headers.
extension ResultHeader {
    init(_ kind: ResultKind, _ sopClassUID: UID, _ contoured: ContouredSeries, _ options: CaptureOptions) throws {
        self.init(kind, sopClassUID, contoured, variant: [try stable(options)]
            + zip(contoured.segments, contoured.drawings).map { "\($0.name) \($1.absence ?? "drawn")" })
    }

    /// What every picture and page says, so that none is taken for a finding.
    var warning: String { (context.conversion == nil ? "AUTOMATIC" : "CONVERTED") + ", UNAPPROVED, NOT FOR DIAGNOSIS" }

    /// The source series as people find it in their list. Its description is left out: free text may hold anything, the patient's name too.
    var sourceTitle: String { "CT series" + (source.integer(.seriesNumber).map { " \($0)" } ?? "") }

    /// Content Date and Time, such as `2026-09-21 14:13:20`.
    func contentMoment(separator: String) -> String {
        var style = Date.ISO8601FormatStyle(timeZone: timeZone)
        style = style.year().month().day().dateSeparator(.dash)
        let time = Date.ISO8601FormatStyle(timeZone: timeZone).time(includingFractionalSeconds: false).timeSeparator(.colon)
        return context.contentDate.formatted(style) + separator + context.contentDate.formatted(time)
    }

    /// SC Equipment (PS3.3 C.8.6.1): this software made the picture and turned it into an object.
    func writeSCEquipment(to d: DataSet) throws {
        try d.set(.conversionType, "WSD")
        try d.set(.secondaryCaptureDeviceManufacturer, Self.manufacturer)
        try d.set(.secondaryCaptureDeviceManufacturerModelName, Self.modelName)
        try d.set(.secondaryCaptureDeviceSoftwareVersions, plain(context.softwareVersion, 64))
    }

    /// The modules of a secondary capture (PS3.3 A.8.1) around a picture.
    ///
    /// Burned In Annotation says whether text in the pixels identifies the patient: none of it does, nor does it come from a header that could.
    func writeCapture(to d: DataSet, _ canvas: Canvas, width: Int, height: Int, type: String, description: String) throws {
        try writeSCEquipment(to: d)
        try d.copy(.bodyPartExamined, from: source)
        try d.copy(.patientPosition, from: source)
        try d.set(.imageType, ["DERIVED", "SECONDARY", type])
        try d.setDateTime(context.contentDate, in: timeZone, date: .contentDate, time: .contentTime)
        try d.setDateTime(context.contentDate, in: timeZone, date: .dateOfSecondaryCapture, time: .timeOfSecondaryCapture)
        try d.set(.patientOrientation, "")
        try d.set(.derivationDescription, plain("\(description) \(account)", 1024))
        try d.set(.derivationCodeSequence, CodedConcept(value: "113076", scheme: "DCM", meaning: "Segmentation"))
        try d.set(.burnedInAnnotation, "NO")
        try writeLossyCompression(to: d)
        try d.set(.samplesPerPixel, 3)
        try d.set(.photometricInterpretation, "RGB")
        try d.set(.planarConfiguration, 0)
        try d.set(.rows, height)
        try d.set(.columns, width)
        try d.set(.bitsAllocated, 8)
        try d.set(.bitsStored, 8)
        try d.set(.highBit, 7)
        try d.set(.pixelRepresentation, 0)
        try d.set(.pixelData, bytes: canvas.rgb())
    }

    /// What a capture was made from (PS3.3 C.7.6.1 and C.12.2), and what it replaces.
    func writeReferences(to d: DataSet, _ frames: [SourceFrame], instances: [SourceInstance], replaced: some Sequence<ReplacedObject>, sameGeometry: Bool) throws {
        for frame in frames {
            let image = try d.addReference(.sourceImageSequence, to: frame)
            if sameGeometry { try image.set(.spatialLocationsPreserved, "YES") }
            try image.set(.purposeOfReferenceCodeSequence, CodedConcept(value: "121322", scheme: "DCM", meaning: "Source image for image processing operation"))
        }
        let item = try d.addItem(.referencedSeriesSequence)
        try item.set(.seriesInstanceUID, series.seriesInstanceUID)
        for instance in instances { _ = try item.addReference(.referencedInstanceSequence, to: instance) }
        try d.addReplacedImages(replaced)
    }
}
