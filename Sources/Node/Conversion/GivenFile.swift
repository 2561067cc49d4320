import DICOMCore
import DICOMImaging
import Foundation

/// A file of masks that somebody else made.
enum GivenFile {
    case nifti(NIfTIMasks, path: String)
    case segmentation(DataSet, path: String)
    case structureSet(DataSet, path: String)

    /// Tells by the content what it is: DICOM by its prefix, all else is taken for NIfTI.
    init(path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { throw ConversionError(.noInput, "\(path) is not there.") }
        guard let file = FileHandle(forReadingAtPath: path), let start = try file.read(upToCount: 132), start.dropFirst(128).elementsEqual("DICM".utf8) else {
            self = .nifti(try NIfTIMasks(path: path), path: path)
            return
        }
        let dataSet = try DataSet(contentsOf: path)
        switch dataSet.uid(.sopClassUID) {
        case SOPClass.segmentationStorage, SOPClass.labelMapSegmentationStorage: self = .segmentation(dataSet, path: path)
        case SOPClass.rtStructureSetStorage: self = .structureSet(dataSet, path: path)
        case let other: throw ConversionError(.unusable, "\(path) is of SOP class \(other?.string ?? "unknown"): neither SEG nor RTSTRUCT.")
        }
    }

    var path: String {
        switch self {
        case .nifti(_, let path), .segmentation(_, let path), .structureSet(_, let path): path
        }
    }

    private var dataSet: DataSet? {
        switch self {
        case .nifti: nil
        case .segmentation(let dataSet, _), .structureSet(let dataSet, _): dataSet
        }
    }

    /// The series that it says it was drawn on; nil where it names none, or several.
    var seriesInstanceUID: UID? {
        let named: [UID] = switch self {
        case .nifti: []
        case .segmentation(let d, _): d.items(.referencedSeriesSequence).compactMap { $0.uid(.seriesInstanceUID) }
        case .structureSet(let d, _): d.items(.referencedFrameOfReferenceSequence).flatMap { $0.items(.rtReferencedStudySequence) }
            .flatMap { $0.items(.rtReferencedSeriesSequence) }.compactMap { $0.uid(.seriesInstanceUID) }
        }
        return Set(named).count == 1 ? named[0] : nil
    }

    /// Where its masks come from, in words without a path or a person.
    var origin: String {
        guard let dataSet else { return "Masks in NIfTI" }
        let maker = [dataSet.string(.manufacturer), dataSet.string(.manufacturerModelName)].compactMap { $0 }.joined(separator: " ")
        let kind = if case .segmentation = self { "Segmentation" } else { "Structure set" }
        return "\(kind) \(dataSet.string(.sopInstanceUID) ?? "without UID")" + (maker.isEmpty ? "" : " of \(maker)")
    }

    /// Throws where it is of another patient than the scan; compares, and tells no value.
    func checkPatient(of source: DataSet) throws {
        guard let own = dataSet?.string(.patientID), let other = source.string(.patientID), own != other else { return }
        throw ConversionError(.unusable, "\(path) is of another patient (Patient ID) than the CT.")
    }

    /// The structures that it holds, and where they lie; nil where a structure has nothing on the CT.
    ///
    /// - Parameter isOneOfSeveral: whether other files hold other structures: a file of one mask is then known by its name alone.
    func structures(on series: CTSeries, resampling: Bool, isOneOfSeveral: Bool) throws -> [(structure: GivenStructure, hasNumber: Bool, mask: PlacedMask?)] {
        switch self {
        case .nifti(let file, _):
            let isOne = file.labels.count <= 1
            let structures = (isOne ? [file.labels.first ?? 1] : file.labels).map { GivenStructure(number: $0, name: isOne ? file.name : nil) }
            return zip(structures, try file.placed(structures, on: series, resampling: resampling)).map { ($0, !(isOne && isOneOfSeveral), $1) }
        case .segmentation(let dataSet, _):
            let masks = try SegmentationReader.masks(in: dataSet, frameOfReferenceUID: series.frameOfReferenceUID)
            return zip(masks.structures, try masks.placed(on: series, resampling: resampling)).map { ($0, true, $1) }
        case .structureSet(let dataSet, _):
            let masks = try StructureSetReader.masks(in: dataSet, grid: series.grid, frameOfReferenceUID: series.frameOfReferenceUID)
            return StructureSetReader.structures(in: dataSet).map { structure in
                (structure, true, structure.name.flatMap { masks[$0] }.map { PlacedMask($0) })
            }
        }
    }
}

/// Why given masks cannot be converted; names files as the caller did, never a patient.
public struct ConversionError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        /// A file is not there.
        case noInput
        /// A file cannot be used, or not with this CT.
        case unusable
        /// What an object must say is not known: a name, a code, who made a mask.
        case untold
        /// The results could not be written.
        case cannotCreate
    }
    public let code: Code
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
