import DICOMCore

/// Writes the summary sheet of a result as one secondary capture (PS3.3 A.8.1).
public enum SummaryWriter {
    /// Makes the object, 1240 pixels wide; without any mask the sheet tells why.
    ///
    /// - Throws: `cannotDraw` without the font.
    public static func make(_ contoured: ContouredSeries, _ options: CaptureOptions = .init()) throws -> ResultObject {
        let header = try ResultHeader(.summary, SOPClass.secondaryCaptureImageStorage, contoured, options)
        let (canvas, width, height) = try SummarySheet(contoured, options, header).picture()
        let d = DataSet()
        try header.write(to: d)
        // A sheet of many planes lies in none.
        for tag: Tag in [.frameOfReferenceUID, .positionReferenceIndicator] { d.remove(tag) }
        try header.writeCapture(to: d, canvas, width: width, height: height, type: "SUMMARY", description: "Summary sheet: structures, measures, sections.")
        try header.writeReferences(to: d, contoured.series.frames, instances: contoured.series.instances, replaced: header.allReplaced, sameGeometry: false)
        return header.object(d, .explicitVRLittleEndian)
    }

    /// The sheet as a PNG file's bytes, for people without a viewer.
    public static func png(_ contoured: ContouredSeries, _ options: CaptureOptions = .init()) throws -> [UInt8] {
        let header = try ResultHeader(.summary, SOPClass.secondaryCaptureImageStorage, contoured, options)
        return try SummarySheet(contoured, options, header).picture().canvas.png()
    }
}

/// Writes the summary sheet of a result as Encapsulated PDF (PS3.3 A.45.1): A4 pages, vectors and text.
public enum DocumentWriter {
    /// Makes the object; without any mask the sheet tells why.
    ///
    /// - Throws: `cannotDraw` without the font.
    public static func make(_ contoured: ContouredSeries, _ options: CaptureOptions = .init()) throws -> ResultObject {
        let header = try ResultHeader(.document, SOPClass.encapsulatedPDFStorage, contoured, options)
        let title = "\(header.title): summary"
        let pdf = try SummarySheet(contoured, options, header).document(title: title, created: header.contentMoment(separator: "T"))
        let d = DataSet()
        try header.write(to: d)
        for tag: Tag in [.frameOfReferenceUID, .positionReferenceIndicator] { d.remove(tag) }
        try header.writeSCEquipment(to: d)
        try d.setDateTime(header.context.contentDate, in: header.timeZone, date: .contentDate, time: .contentTime)
        try d.set(.acquisitionDateTime, "")
        try d.set(.burnedInAnnotation, "NO")
        for instance in contoured.series.instances { _ = try d.addReference(.sourceInstanceSequence, to: instance) }
        try d.set(.documentTitle, title)
        try d.set(.conceptNameCodeSequence, CodedConcept(value: "126000", scheme: "DCM", meaning: "Imaging Measurement Report"))
        try d.set(.verificationFlag, "UNVERIFIED")
        try d.set(.mimeTypeOfEncapsulatedDocument, "application/pdf")
        try d.set(.encapsulatedDocumentLength, pdf.count)
        // An element's length is even (PS3.5 7.1.1); Encapsulated Document Length tells the file's own.
        try d.set(.encapsulatedDocument, bytes: pdf + [UInt8](repeating: 0, count: pdf.count % 2))
        try writePredecessors(d, header)
        return header.object(d, .explicitVRLittleEndian)
    }

    /// Hierarchical references to the documents that this one replaces (PS3.3 table 10-3b).
    private static func writePredecessors(_ d: DataSet, _ header: ResultHeader) throws {
        for object in header.allReplaced {
            let study = try d.addItem(.predecessorDocumentsSequence)
            try study.set(.studyInstanceUID, header.series.studyInstanceUID)
            let series = try study.addItem(.referencedSeriesSequence)
            try series.set(.seriesInstanceUID, object.seriesInstanceUID)
            let instance = try series.addItem(.referencedSOPSequence)
            try instance.set(.referencedSOPClassUID, object.sopClassUID)
            try instance.set(.referencedSOPInstanceUID, object.sopInstanceUID)
        }
    }
}
