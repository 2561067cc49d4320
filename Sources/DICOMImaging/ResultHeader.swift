import DICOMCore
import Foundation
import ImagingGeometry

/// What all objects of a result have in common: identity, patient, study, series, equipment (PS3.3 C.7 and C.12).
struct ResultHeader {
    static let manufacturer = "medlsam-node project"
    static let modelName = "medlsam-node"
    static let algorithm = "MedLSAM"

    let kind: ResultKind
    let sopClassUID: UID
    let series: CTSeries
    /// Headers of one source instance.
    let source: DataSet
    let context: ResultContext
    /// The objects that those of this kind replace: of a series of captures more than one.
    let allReplaced: [ReplacedObject]
    /// Derived from all that this result depends on.
    private let identity: UID

    /// `variant` is what settings decide: which structures are drawn, how holes are written.
    init(_ kind: ResultKind, _ sopClassUID: UID, _ contoured: ContouredSeries, variant: [String]) {
        self.kind = kind
        self.sopClassUID = sopClassUID
        series = contoured.series
        source = contoured.source
        context = contoured.context
        allReplaced = contoured.replaced(by: kind)
        identity = .derived(from: [kind.rawValue, "\(variant.count)"] + variant + [series.seriesInstanceUID.string]
            + series.frames.map { $0.instance.sopInstanceUID.string + ($0.number.map { " \($0)" } ?? "") }.sorted()
            + [context.templateSet, context.templateSetVersion, context.method, context.softwareVersion] + context.models.flatMap { [$0.name, $0.version, $0.digest] }
            + context.replaces.map(\.sopInstanceUID.string) + (context.conversion.map { ["conversion", $0.digest] } ?? []))
    }

    /// The UID of something that belongs to this result; the same input, settings, template set, models and software give the same.
    func uid(_ role: String) -> UID { .derived(from: [role, identity.string]) }

    /// The object that this one replaces.
    var replaced: ReplacedObject? { allReplaced.first }

    /// Identifies a structure of the source series across results.
    func trackingUID(_ name: String) -> UID { .derived(from: ["tracking", series.seriesInstanceUID.string, name]) }

    /// The template set and models in words, or where given masks come from.
    var provenance: String {
        if let conversion = context.conversion { return "\(conversion.origin); converted by medlsam-node \(context.softwareVersion)" }
        return "Template set \(context.templateSet) version \(context.templateSetVersion)\(context.method.isEmpty ? "" : "; \(context.method)"); models "
            + (context.models.isEmpty ? "none" : context.models.map { "\($0.name) \($0.version) (SHA-256 \($0.digest.prefix(12)))" }.joined(separator: ", "))
            + "; medlsam-node \(context.softwareVersion)"
    }

    func object(_ dataSet: DataSet, _ transferSyntax: TransferSyntax, tail: ((DataSet.Output) -> Void)? = nil) -> ResultObject {
        ResultObject(dataSet: dataSet, tail: tail, transferSyntax: transferSyntax, sopClassUID: sopClassUID,
                     sopInstanceUID: uid("instance"), seriesInstanceUID: uid("series"))
    }

    func write(to d: DataSet) throws {
        try copyPatientAndStudy(to: d)
        try d.set(.sopClassUID, sopClassUID)
        try d.set(.sopInstanceUID, uid("instance"))
        try d.setDateTime(context.contentDate, in: timeZone, date: .instanceCreationDate, time: .instanceCreationTime)

        try d.set(.modality, kind.modality)
        try d.set(.seriesInstanceUID, uid("series"))
        try d.set(.seriesNumber, seriesNumber)
        try d.setDateTime(context.contentDate, in: timeZone, date: .seriesDate, time: .seriesTime)
        try d.set(.seriesDescription, "\(seriesTitle) \(kind.rawValue)")
        try d.set(.instanceNumber, 1)
        try d.set(.frameOfReferenceUID, series.frameOfReferenceUID)
        try d.set(.positionReferenceIndicator, "")
        try d.copy(.positionReferenceIndicator, from: source)

        try d.set(.manufacturer, Self.manufacturer)
        try d.set(.manufacturerModelName, Self.modelName)
        try d.set(.deviceSerialNumber, plain(context.deviceSerialNumber, 64))
        try d.set(.softwareVersions, [plain(context.softwareVersion, 64)]
            + context.models.map { plain("\($0.name) \($0.version) \($0.digest.prefix(12))", 64) })
        try addScanner(to: d)
    }

    /// What the source's pixels lost, the result's have lost too (PS3.3 C.7.6.1.1.5).
    func writeLossyCompression(to d: DataSet) throws {
        try d.set(.lossyImageCompression, series.isLossy ? "01" : "00")
        guard let lossy = series.lossyCompression, !lossy.ratios.isEmpty, !lossy.methods.isEmpty else { return }
        try d.set(.lossyImageCompressionRatio, lossy.ratios)
        try d.set(.lossyImageCompressionMethod, lossy.methods)
    }

    /// Times go in the zone that the copied ones are in.
    var timeZone: TimeZone {
        guard let offset = source.string(.timezoneOffsetFromUTC), let number = Int(offset), offset.count == 5 else { return context.timeZone }
        return TimeZone(secondsFromGMT: (number / 100 * 60 + number % 100) * 60) ?? context.timeZone
    }

    /// Beside the source's own number, which the archive's users know: 2 becomes 201, 202 and so on.
    private var seriesNumber: Int {
        let number = source.integer(.seriesNumber).flatMap { (1...9999).contains($0) ? $0 : nil } ?? 90
        return number * 100 + ResultKind.allCases.firstIndex(of: kind)! + 1
    }

    private func copyPatientAndStudy(to d: DataSet) throws {
        // Type 2: present even where the source has none.
        for tag: Tag in [.patientName, .patientID, .patientBirthDate, .patientSex,
                         .studyDate, .studyTime, .studyID, .accessionNumber, .referringPhysicianName] { try d.set(tag, "") }
        // Before all text: it decides how the rest is encoded.
        for tag: Tag in [.specificCharacterSet, .timezoneOffsetFromUTC,
                         .patientName, .patientID, .issuerOfPatientID, .patientBirthDate, .patientSex, .otherPatientIDsSequence,
                         .patientIdentityRemoved, .deidentificationMethod, .deidentificationMethodCodeSequence,
                         .studyDate, .studyTime, .studyID, .accessionNumber, .issuerOfAccessionNumberSequence, .referringPhysicianName,
                         .studyDescription, .procedureCodeSequence, .patientAge, .patientSize, .patientWeight] {
            try d.copy(tag, from: source)
        }
        try d.set(.studyInstanceUID, series.studyInstanceUID)
    }

    /// The scanner, since General Equipment now names this software.
    private func addScanner(to d: DataSet) throws {
        guard source.string(.manufacturer) != nil else { return }
        let scanner = try d.addItem(.contributingEquipmentSequence)
        try scanner.set(.purposeOfReferenceCodeSequence, CodedConcept(value: "109101", scheme: "DCM", meaning: "Acquisition Equipment"))
        for tag: Tag in [.manufacturer, .institutionName, .stationName, .manufacturerModelName, .deviceSerialNumber, .softwareVersions] {
            try scanner.copy(tag, from: source)
        }
    }
}

extension DataSet {
    func setDateTime(_ moment: Date, in zone: TimeZone, date: Tag, time: Tag) throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        let c = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second], from: moment)
        let digits = { (number: Int?, width: Int) in String(String(10000 + number!).suffix(width)) }
        try set(date, digits(c.year, 4) + digits(c.month, 2) + digits(c.day, 2))
        try set(time, digits(c.hour, 2) + digits(c.minute, 2) + digits(c.second, 2))
    }

    func addReference(_ tag: Tag, to instance: SourceInstance) throws -> DataSet {
        let item = try addItem(tag)
        try item.set(.referencedSOPClassUID, instance.sopClassUID)
        try item.set(.referencedSOPInstanceUID, instance.sopInstanceUID)
        return item
    }

    /// Names the images that this one replaces: as related to it (PS3.3 C.12.4), and as the Common Instance Reference Module lists them
    /// (C.12.2). No code of DICOM's says that an image replaces another.
    func addReplacedImages(_ replaced: some Sequence<ReplacedObject>) throws {
        func refer(_ item: DataSet, _ object: ReplacedObject) throws {
            try item.set(.referencedSOPClassUID, object.sopClassUID)
            try item.set(.referencedSOPInstanceUID, object.sopInstanceUID)
        }
        var listed: [UID: DataSet] = [:]
        for object in replaced {
            let image = try addItem(.referencedImageSequence), series = try listed[object.seriesInstanceUID] ?? addItem(.referencedSeriesSequence)
            try refer(image, object)
            try image.set(.purposeOfReferenceCodeSequence, CodedConcept(value: "REPLACED", scheme: ReportConcept.ownScheme, meaning: "Replaced by this instance"))
            try series.set(.seriesInstanceUID, object.seriesInstanceUID)
            try refer(series.addItem(.referencedInstanceSequence), object)
            listed[object.seriesInstanceUID] = series
        }
    }

    /// References an image, or a frame of one by its number (PS3.3 table 10-3).
    func addReference(_ tag: Tag, to frame: SourceFrame) throws -> DataSet {
        let item = try addReference(tag, to: frame.instance)
        if let number = frame.number { try item.set(.referencedFrameNumber, number) }
        return item
    }
}

extension ResultSegment {
    /// What is drawn for this structure, on the source's own slices; or why nothing is.
    enum Drawing {
        case mask(SourceMask)
        case absent(String)

        var mask: SourceMask? { if case .mask(let mask) = self { mask } else { nil } }
        var absence: String? { if case .absent(let reason) = self { reason } else { nil } }
    }

    func drawing(on series: CTSeries) throws -> Drawing {
        switch state {
        case .notInFieldOfView: return .absent("not in the field of view")
        case .withheld(let reason): return .absent("withheld: \(reason)")
        case .failed(let reason): return .absent("failed: \(reason)")
        case .segmented: break
        }
        if let sourceMask, sourceMask.grid != series.grid {
            throw ImagingError(.otherGrid, "Mask of \(name) is not on the slices of series \(series.seriesInstanceUID).")
        }
        let drawn = try sourceMask ?? mask.map { try series.sourceMask($0, of: name) }
        guard let drawn, drawn.voxels.withUnsafeBufferPointer(holdsAny) else { return .absent("segmented, but empty") }
        return .mask(drawn)
    }

    /// What a reader of the object should know of it, in words.
    var remark: String {
        (author.map { "Made by \($0.name ?? "a person"), \($0.method.rawValue.lowercased())" } ?? "Automatic, not reviewed") + confidenceRemark + (isCutOff ? "; cut off by the field of view" : "")
    }

    /// `; confidence 0.83`, or nothing where none was computed.
    var confidenceRemark: String { confidence.map { "; confidence \(($0 * 100).rounded() / 100)" } ?? "" }
}

extension ResultKind {
    /// PS3.3 C.7.3.1.1.1.
    var modality: String {
        switch self {
        case .segmentation: "SEG"
        case .structureSet: "RTSTRUCT"
        case .overlay, .summary: "OT"
        case .measurements: "SR"
        case .document: "DOC"
        }
    }
}

/// Text that any character set can hold: ASCII without backslash and control characters, cut to a VR's length.
func plain(_ text: String, _ length: Int) -> String {
    let folded = text.folding(options: .diacriticInsensitive, locale: nil)
    return String(String.UnicodeScalarView(folded.unicodeScalars.map { (0x20...0x7E).contains($0.value) && $0 != "\\" ? $0 : "?" }).prefix(length))
}

/// Options as one string, the same for equal ones: part of what an object's UIDs are derived from.
func stable(_ options: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return String(decoding: try encoder.encode(options), as: UTF8.self)
}
