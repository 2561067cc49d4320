import DICOMCore
import Foundation

/// The node's own look at the objects of a job before any of them is sent: each is read again from its file, as its bytes stand, and held
/// against the stored instances that it was made of.
///
/// It shares no code with the writers but tags and codes, so that a mistake of theirs is not made twice.
public struct ObjectCheck {
    /// A file that a worker reported.
    public struct Object: Sendable {
        public var path, sopClassUID, sopInstanceUID: String
        public var kind: ResultKind

        public init(path: String, kind: ResultKind, sopClassUID: String, sopInstanceUID: String) {
            self.path = path
            self.kind = kind
            self.sopClassUID = sopClassUID
            self.sopInstanceUID = sopInstanceUID
        }
    }

    /// How far a frame or a contour may lie from the image that it names, in millimetres: coordinates may have as little as one decimal.
    static let positionToleranceMM = 0.1
    /// How far directions may be from the source's, which devices write with as little as four decimals.
    static let orientationTolerance = SliceStack.orientationTolerance
    /// Relative; slices of a stack differ by less.
    static let spacingTolerance = 1e-4

    let source: CheckedSource
    private let replaces: [ReplacedObject]

    /// Reads the headers of a job's instances; throws `unreadable` when they cannot be read any more.
    public init(sourcePaths: [String], replaces: [ReplacedObject] = []) throws(ImagingError) {
        source = try CheckedSource(paths: sourcePaths)
        self.replaces = replaces
    }

    /// Of the instances.
    public var studyInstanceUID: String { source.studyInstanceUID }
    public var seriesInstanceUID: String { source.seriesInstanceUID }
    /// The headers of the first instance.
    public var sourceHeader: DataSet { source.header }

    /// Checks all objects of a job together, since one may refer to another; returns when all may be sent.
    ///
    /// - Throws: `unsound` with the object, the place in it and the rule that is broken; no value of a patient's.
    public func verify(_ objects: [Object]) throws(ImagingError) {
        var siblings = Siblings()
        for object in objects {
            do throws(Breach) { try siblings.add(object, EncodedObject.read(object.path)) } catch { throw Self.error(object, error) }
        }
        for (object, encoded) in zip(objects, siblings.encoded) {
            do throws(Breach) { try verify(object, encoded, siblings) } catch { throw Self.error(object, error) }
        }
    }

    private static func error(_ object: Object, _ breach: Breach) -> ImagingError {
        ImagingError(.unsound, "\(object.kind.rawValue) \(object.sopInstanceUID) is not to be sent: \(breach.reason).")
    }

    private func verify(_ object: Object, _ encoded: EncodedObject, _ siblings: Siblings) throws(Breach) {
        let d = encoded.dataSet
        try verifyIdentity(object, encoded)
        try verifyPatient(object, encoded)
        try verifyValues(encoded)
        try verifyMarking(object, d)
        try verifyReferences(d, siblings)
        switch object.kind {
        case .segmentation: try verifySegmentation(d)
        case .structureSet: try verifyStructureSet(d)
        case .measurements: try verifyReport(d, siblings)
        case .overlay: try verifyOverlay(d)
        case .summary: try verifyCapture(d)
        case .document: try verifyDocument(d)
        }
    }

    // MARK: - Rules of all objects

    private static let classes: [ResultKind: [UID]] = [
        .segmentation: [SOPClass.segmentationStorage, SOPClass.labelMapSegmentationStorage], .structureSet: [SOPClass.rtStructureSetStorage],
        .measurements: [SOPClass.comprehensive3DSRStorage], .document: [SOPClass.encapsulatedPDFStorage],
        .overlay: [SOPClass.secondaryCaptureImageStorage, SOPClass.multiFrameTrueColorSecondaryCaptureImageStorage],
        .summary: [SOPClass.secondaryCaptureImageStorage, SOPClass.multiFrameTrueColorSecondaryCaptureImageStorage],
    ]

    private func verifyIdentity(_ object: Object, _ encoded: EncodedObject) throws(Breach) {
        let d = encoded.dataSet, meta = encoded.meta
        try demand(meta.bytes(.fileMetaInformationVersion)?.elementsEqual([0, 1]) == true, "its file meta information has no version")
        try demand(meta.text(.implementationClassUID) != nil, "its file meta information names no implementation")
        try demand(Self.classes[object.kind]!.contains { $0.string == object.sopClassUID }, "SOP class \(object.sopClassUID) is not of its kind")
        for (name, tag, metaTag, reported): (String, Tag, Tag, String) in [
            ("SOP Class UID", .sopClassUID, .mediaStorageSOPClassUID, object.sopClassUID),
            ("SOP Instance UID", .sopInstanceUID, .mediaStorageSOPInstanceUID, object.sopInstanceUID),
        ] {
            try demand(d.text(tag) == reported, "its \(name) is not the one that the worker reported")
            try demand(meta.text(metaTag) == reported, "the \(name) of its file meta information is another than its own")
        }
        try demand(source.classes[object.sopInstanceUID] == nil, "its SOP Instance UID is that of a source image")
        let series = d.text(.seriesInstanceUID)
        try demand(series != nil && series != source.seriesInstanceUID, "its Series Instance UID is missing, or the source's")
        try demand(d.text(.modality) == object.kind.modality, "its Modality is not \(object.kind.modality)")
        try demand(d.text(.studyInstanceUID) == source.studyInstanceUID, "its Study Instance UID is not the source's")
        let isInFrame = [.segmentation, .overlay].contains(object.kind), frame = d.text(.frameOfReferenceUID)
        try demand(frame == source.frameOfReferenceUID || frame == nil && !isInFrame, "its Frame of Reference UID is not the source's")
    }

    /// What must be as in the source whether it is there or not (PS3.3 C.7.1.1, C.7.2.1).
    private static let identity: [Tag] = [
        .specificCharacterSet, .patientName, .patientID, .issuerOfPatientID, .patientBirthDate, .patientSex, .studyDate, .studyTime, .studyID,
        .accessionNumber, .referringPhysicianName,
    ]
    /// What must be as in the source where the object has it; so must all else of groups 0010 and 0012.
    private static let copied: [Tag] = [.studyDescription, .procedureCodeSequence, .issuerOfAccessionNumberSequence, .timezoneOffsetFromUTC]

    private func verifyPatient(_ object: Object, _ encoded: EncodedObject) throws(Breach) {
        let own: DataSet
        // Patient and study lie before this group.
        do { own = try DataSet(contentsOf: object.path, stoppingBefore: Tag(0x0028, 0x0000)) } catch { throw Breach("the toolkit cannot read it") }
        let tags = encoded.dataSet.tags
        for tag: Tag in [.patientName, .patientID, .patientBirthDate, .patientSex, .studyDate, .studyTime, .studyID, .accessionNumber, .referringPhysicianName] {
            try demand(tags.contains(tag), "\(tag) is missing")
        }
        for tag in Self.identity + tags.filter({ Self.copied.contains($0) || [0x0010, 0x0012].contains($0.group) }) {
            try demand(source.holds(tag, of: own), "\(tag) is not the source's")
        }
    }

    /// What its VR does not allow, but for what was copied from a source that has it so.
    private func verifyValues(_ encoded: EncodedObject) throws(Breach) {
        for bad in encoded.badValues {
            let node = encoded.nodes[bad.node], tag = Tag(UInt16(node.tag >> 16), UInt16(node.tag & 0xFFFF))
            let value = DataSet()
            let text = String(decoding: encoded.bytes(of: node).trimmed, as: UTF8.self)
            _ = try? value.copy(tag, from: source.header)
            try demand(!text.isEmpty && value.strings(tag).joined(separator: "\\") == text, bad.reason)
        }
    }

    private func verifyMarking(_ object: Object, _ d: EncodedItem) throws(Breach) {
        try demand(d.text(.seriesDescription)?.contains("UNAPPROVED") == true, "its Series Description does not say that it is unapproved")
        let left = Set([Tag.procedureCodeSequence, .codingSchemeIdentificationSequence, .otherPatientIDsSequence, .deidentificationMethodCodeSequence,
                        .issuerOfAccessionNumberSequence].map(\.number))
        try d.walk(except: left) { item, sequence throws(Breach) in
            guard item.find(.codingSchemeDesignator) != nil || item.find(.codeMeaning) != nil else { return }
            let place = "a code of \(Tag(UInt16(sequence >> 16), UInt16(sequence & 0xFFFF)))"
            guard let value = item.text(.codeValue) ?? item.text(.longCodeValue), let scheme = item.text(.codingSchemeDesignator), let meaning = item.text(.codeMeaning) else {
                throw Breach("\(place) has no value, scheme or meaning")
            }
            try demand(!Self.placeholders.contains(value.uppercased()) && !Self.placeholders.contains(meaning.uppercased()), "\(place) is a placeholder")
            try demand(!scheme.hasPrefix("99") || scheme == ReportConcept.ownScheme, "\(place) is of private scheme \(scheme)")
        }
    }

    /// What stands for a code that nobody looked up.
    private static let placeholders: Set<String> = ["0", "00000", "999", "99999", "XXX", "TBD", "TODO", "NONE", "NULL", "UNKNOWN", "PLACEHOLDER", "TEST", "CODE", "N/A"]

    /// Every reference, wherever it is, must lead to a stored instance of the series, another object of the job, or one that is replaced.
    private func verifyReferences(_ d: EncodedItem, _ siblings: Siblings) throws(Breach) {
        let detachedStudy = "1.2.840.10008.3.1.2.3.1"
        try d.walk { item, sequence throws(Breach) in
            if sequence == Tag.referencedSeriesSequence.number || sequence == Tag.rtReferencedSeriesSequence.number {
                let series = item.text(.seriesInstanceUID) ?? ""
                try demand(series == source.seriesInstanceUID || siblings.series.contains(series) || replaces.contains { $0.seriesInstanceUID.string == series },
                           "it refers to series \(series), which is neither the source nor of this job")
            }
            guard item.find(.referencedSOPInstanceUID) != nil else { return }
            let instance = item.text(.referencedSOPInstanceUID) ?? "", sopClass = item.text(.referencedSOPClassUID) ?? ""
            if sopClass == detachedStudy {
                try demand(instance == source.studyInstanceUID, "it refers to another study")
                return
            }
            let known = source.classes[instance] ?? siblings.classes[instance] ?? replaces.first { $0.sopInstanceUID.string == instance }?.sopClassUID.string
            guard let known else { throw Breach("it refers to instance \(instance), which is no stored instance of the series") }
            try demand(known == sopClass, "it refers to instance \(instance) as of another SOP class")
            for number in item.texts(.referencedFrameNumber) where source.classes[instance] != nil {
                try demand(Int(number).map { source.frames[.init(instance: instance, number: $0)] != nil } ?? false, "it refers to a frame that instance \(instance) does not have")
            }
            for number in item.words(.referencedSegmentNumber) {
                try demand(siblings.trackingUIDs[instance]?[number] != nil, "it refers to segment \(number), which instance \(instance) does not have")
            }
        }
    }
}

/// The objects of a job, by what others may refer to.
struct Siblings {
    private(set) var encoded: [EncodedObject] = []
    private(set) var classes: [String: String] = [:]
    /// Of each object.
    private(set) var seriesOf: [String: String] = [:]
    /// What each series is of.
    private var kinds: [String: ResultKind] = [:]
    /// The Tracking UID of each segment of each SEG, empty where it has none.
    private(set) var trackingUIDs: [String: [Int: String]] = [:]
    var series: Set<String> { Set(kinds.keys) }

    mutating func add(_ object: ObjectCheck.Object, _ encoded: EncodedObject) throws(Breach) {
        try demand(classes.updateValue(object.sopClassUID, forKey: object.sopInstanceUID) == nil, "another object of the job has its SOP Instance UID")
        let series = encoded.dataSet.text(.seriesInstanceUID) ?? ""
        // Only overlays are a series of several objects.
        let sharing = kinds.updateValue(object.kind, forKey: series)
        try demand(sharing == nil || sharing == .overlay && object.kind == .overlay, "another object of the job has its Series Instance UID")
        seriesOf[object.sopInstanceUID] = series
        if object.kind == .segmentation {
            trackingUIDs[object.sopInstanceUID] = encoded.dataSet.items(.segmentSequence).reduce(into: [:]) { $0[$1.words(.segmentNumber).first ?? -1] = $1.text(.trackingUID) ?? "" }
        }
        self.encoded.append(encoded)
    }
}

/// Throws a breach with its reason unless the rule is kept.
@inline(__always) func demand(_ isKept: Bool, _ reason: @autoclosure () -> String) throws(Breach) {
    if !isKept { throw Breach(reason()) }
}
