import DICOMCore
import Foundation
import ImagingGeometry

/// What became of one structure.
public enum SegmentState: Sendable, Hashable {
    case segmented
    case notInFieldOfView
    /// A contour was made but is not given out, with the reason.
    case withheld(reason: String)
    case failed(reason: String)
}

/// One structure of a result, as it goes into DICOM objects.
public struct ResultSegment: Sendable {
    /// TG-263 name, such as `Parotid_L`.
    public var name: String
    /// Segmented property category (PS3.16 CID 7150).
    public var category: CodedConcept
    /// Segmented property type (PS3.16 CID 7151 and those it includes).
    public var type: CodedConcept
    /// Laterality (PS3.16 CID 244); nil where a structure is single.
    public var laterality: CodedConcept?
    /// Where it is (PS3.16 CID 4), for a type that is no anatomical structure itself; nil for one that is.
    public var anatomicRegion: CodedConcept?
    /// sRGB, 0 to 255.
    public var color: SIMD3<UInt8>
    public var state: SegmentState
    /// 0 to 1; nil where none was computed.
    public var confidence: Double?
    /// The structure goes on beyond the scan.
    public var isCutOff: Bool
    /// On the volume's grid (`CTSeries.volume`), from which the writers bring it onto the source's slices; anything but `segmented` needs none.
    public var mask: Mask?
    /// How likely each voxel belongs to it, on the mask's grid; the mask are those from `ProbabilityMap.inside` on.
    /// Nil where only the mask is known.
    public var probabilities: ProbabilityMap?
    /// The mask on the source's own slices where it was given there, to be written as it is; nil where the writers bring `mask` onto them.
    public var sourceMask: SourceMask?
    /// Who drew it; nil where MedLSAM did, as the context tells.
    public var author: Authorship?

    public init(name: String, category: CodedConcept, type: CodedConcept, laterality: CodedConcept? = nil, anatomicRegion: CodedConcept? = nil, color: SIMD3<UInt8>,
                state: SegmentState, confidence: Double? = nil, isCutOff: Bool = false, mask: Mask? = nil, probabilities: ProbabilityMap? = nil,
                sourceMask: SourceMask? = nil, author: Authorship? = nil) {
        self.name = name
        self.category = category
        self.type = type
        self.laterality = laterality
        self.anatomicRegion = anatomicRegion
        self.color = color
        self.state = state
        self.confidence = confidence
        self.isCutOff = isCutOff
        self.mask = mask
        self.probabilities = probabilities
        self.sourceMask = sourceMask
        self.author = author
    }
}

/// A series with what was found in it: what every object of a result is written from. Not Sendable, as its data set is not.
public struct ContouredSeries {
    /// Every structure asked for.
    public let segments: [ResultSegment]
    public let series: CTSeries
    /// The headers of one instance of the series.
    public let source: DataSet
    public let context: ResultContext
    /// What is drawn for each of the segments.
    let drawings: [ResultSegment.Drawing]
    /// What an object is made for, which tells those that it replaces from others of its kind; nil where one of a kind is made.
    var specification: ResultSpecification?

    /// Throws `otherGrid` when a mask is not on the series' grid.
    public init(segments: [ResultSegment], series: CTSeries, source: DataSet, context: ResultContext) throws {
        self.segments = segments
        self.series = series
        self.source = source
        self.context = context
        drawings = try segments.map { try $0.drawing(on: series) }
    }

    /// Those of the replaced objects that an object of a kind takes the place of: one, or a series of captures. They are of the same
    /// specification, or of the first of that kind where that was not among them.
    func replaced(by kind: ResultKind) -> [ReplacedObject] {
        let same = context.replaces.filter { $0.kind == kind }
        let first = same.first { $0.specification == specification } ?? same.first
        return same.filter { $0.specification == first?.specification }
    }

    /// Throws `nothingSegmented` unless there is a mask to write.
    func demandSegmented(for object: String) throws {
        guard drawings.contains(where: { $0.mask != nil }) else {
            throw ImagingError(.nothingSegmented, "Series \(series.seriesInstanceUID): no structure was segmented, so there is no \(object) to write.")
        }
    }
}

/// Who made a result, with what and when: everything in an object that comes neither from the source nor from the masks.
public struct ResultContext: Sendable {
    /// A model that took part.
    public struct Model: Sendable, Hashable {
        public var name, version, digest: String

        /// `digest` is the SHA-256 of the weights, in hexadecimal.
        public init(name: String, version: String, digest: String) {
            self.name = name
            self.version = version
            self.digest = digest
        }
    }

    /// Version of this software.
    public var softwareVersion: String
    /// What made the masks, in words.
    public var method: String
    public var models: [Model]
    public var templateSet: String
    public var templateSetVersion: String
    /// What tells this installation from others (Device Serial Number), such as its AE title.
    public var deviceSerialNumber: String
    /// When the result was made: the content, series and structure set date and time. UIDs do not depend on it.
    public var contentDate: Date
    /// The zone of written times, unless the source states its own (Timezone Offset From UTC).
    public var timeZone: TimeZone
    /// Objects of earlier results that this one replaces. The UIDs do depend on them: the same slices may have come with other pixels.
    public var replaces: [ReplacedObject]
    /// Where the masks come from, when they were given and not made here: then there are neither models nor a template set.
    public var conversion: Conversion?

    public init(softwareVersion: String, method: String = "", models: [Model], templateSet: String, templateSetVersion: String,
                deviceSerialNumber: String, contentDate: Date, timeZone: TimeZone = .current,
                replaces: [ReplacedObject] = []) {
        self.softwareVersion = softwareVersion
        self.method = method
        self.models = models
        self.templateSet = templateSet
        self.templateSetVersion = templateSetVersion
        self.deviceSerialNumber = deviceSerialNumber
        self.contentDate = contentDate
        self.timeZone = timeZone
        self.replaces = replaces
    }

    /// Of objects made from given masks.
    public init(softwareVersion: String, conversion: Conversion, deviceSerialNumber: String, contentDate: Date, timeZone: TimeZone = .current) {
        self.init(softwareVersion: softwareVersion, models: [], templateSet: "", templateSetVersion: "", deviceSerialNumber: deviceSerialNumber,
                  contentDate: contentDate, timeZone: timeZone)
        self.conversion = conversion
    }
}

/// An object that a new one replaces, since slices came late.
public struct ReplacedObject: Codable, Sendable, Hashable {
    public let kind: ResultKind
    /// What it was written by; nil where that is not known any more.
    public let specification: ResultSpecification?
    public let sopClassUID, sopInstanceUID, seriesInstanceUID: UID

    public init(kind: ResultKind, specification: ResultSpecification? = nil, sopClassUID: UID, sopInstanceUID: UID, seriesInstanceUID: UID) {
        self.kind = kind
        self.specification = specification
        self.sopClassUID = sopClassUID
        self.sopInstanceUID = sopInstanceUID
        self.seriesInstanceUID = seriesInstanceUID
    }
}

/// A DICOM object made from a result, ready to be written. Not Sendable: one thread at a time.
public struct ResultObject {
    /// All of it, or of a SEG all but Per-Frame Functional Groups Sequence and Pixel Data, which go straight into the file.
    public let dataSet: DataSet
    var tail: ((DataSet.Output) -> Void)? = nil
    /// The transfer syntax that can hold it.
    public let transferSyntax: TransferSyntax
    public let sopClassUID: UID
    public let sopInstanceUID: UID
    public let seriesInstanceUID: UID

    /// Writes it as a Part 10 file.
    public func write(to path: String) throws {
        try dataSet.write(to: path, transferSyntax: transferSyntax, tail: tail)
    }
}
