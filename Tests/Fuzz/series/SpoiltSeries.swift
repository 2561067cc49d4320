import DICOMCore
import DICOMImaging
import Foundation
import NodeTesting

/// A small CT series, of which some files are replaced by spoilt ones, over and over.
///
/// The sound files' headers are read once: most of a run's time goes to what is spoilt.
struct SpoiltSeries {
    let paths: [String]
    private let sound: [(file: InstanceFile, bytes: [UInt8])]

    init(_ paths: [String]) throws {
        self.paths = paths
        sound = try paths.map { (try InstanceFile(path: $0), [UInt8](try Data(contentsOf: URL(filePath: $0)))) }
    }

    /// The files with one to three of them spoilt. A spoilt one is written beside the sound one.
    func spoilt(_ random: inout Seeded) throws -> [String] {
        var paths = paths
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let victim = Int.random(in: paths.indices, using: &random), path = self.paths[victim] + ".spoilt"
            if paths[victim] != path { try Self.write(sound[victim].bytes, to: path) }
            paths[victim] = path
            // A file whose bytes are broken already may not be readable any more.
            if Int.random(in: 0..<4, using: &random) > 0 { try? Self.spoilElements(of: path, &random) }
            if Int.random(in: 0..<3, using: &random) == 0 { try Self.spoilBytes(of: path, &random) }
        }
        return paths
    }

    /// Headers of such files: read already where they are the sound ones. Those that have none are left out, as where a folder is grouped.
    func files(_ paths: [String]) -> [Result<InstanceFile, any Error>] {
        zip(paths, sound).map { path, sound in path == sound.file.path ? .success(sound.file) : Result { try InstanceFile(path: path) } }
    }

    private static func write(_ bytes: [UInt8], to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        defer { close(file) }
        guard file >= 0, Glibc.write(file, bytes, bytes.count) == bytes.count else { throw Expired("\(path) cannot be written") }
    }

    /// Gives elements values that no device should write: the file stays readable, what it says of its image lies.
    private static func spoilElements(of path: String, _ random: inout Seeded) throws {
        let set = try DataSet(contentsOf: path)
        // A multi-frame image says most of it in its functional groups.
        let groups = [DICOMCore.Tag.perFrameFunctionalGroupsSequence, .sharedFunctionalGroupsSequence].flatMap(set.items)
        let inner = [DICOMCore.Tag.planePositionSequence, .planeOrientationSequence, .pixelMeasuresSequence, .pixelValueTransformationSequence]
        let places = [set] + groups.flatMap { group in inner.flatMap(group.items) }
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let (tag, values) = lies.randomElement(using: &random)!
            let place = places.filter { $0.contains(tag) }.randomElement(using: &random) ?? set
            switch Int.random(in: 0..<8, using: &random) {
            case 0: place.remove(tag)
            case 1: try? place.set(tag, "")
            // Longer or shorter than rows and columns say, or odd.
            case 2: try? set.set(.pixelData, bytes: [UInt8](repeating: 7, count: [0, 1, 2, 511, 513, 1024].randomElement(using: &random)!))
            default: try? Self.set(tag, values.randomElement(using: &random)!, in: place)
            }
        }
        try set.write(to: path + ".new", transferSyntax: set.transferSyntaxUID.map { TransferSyntax($0) } ?? .explicitVRLittleEndian)
        guard rename(path + ".new", path) == 0 else { throw Expired("\(path) cannot be renamed") }
    }

    /// By its text where the VR has any, else by its number.
    private static func set(_ tag: DICOMCore.Tag, _ value: String, in set: DataSet) throws {
        do { try set.set(tag, value) } catch {
            if let number = Int(value) { try set.set(tag, number) }
        }
    }

    /// Bytes changed, cut out, doubled or cut off, anywhere behind the preamble.
    private static func spoilBytes(of path: String, _ random: inout Seeded) throws {
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
        Spoiling.spoil(&bytes, from: 132, &random)
        try write(bytes, to: path)
    }

    /// What each element of an image's geometry and pixels may be made to say.
    private static let lies: [(DICOMCore.Tag, [String])] = [
        (.imagePositionPatient, ["NaN\\0\\0", "inf\\0\\0", "1e400\\0\\0", "1e308\\-1e308\\1e308", "0\\0", "a\\b\\c", "0\\0\\0", "0\\0\\1e-320", "-0\\-0\\-0"]),
        (.imageOrientationPatient, ["0\\0\\0\\0\\0\\0", "1\\0\\0\\1\\0\\0", "2\\0\\0\\0\\2\\0", "1\\0\\0\\0.5\\0.5\\0", "NaN\\0\\0\\0\\1\\0", "1\\0\\0\\0\\1",
                                    "0\\1\\0\\1\\0\\0", "1\\0\\0\\0\\-1\\0", "1e200\\0\\0\\0\\1e200\\0"]),
        (.pixelSpacing, ["0\\0", "-1\\1", "1e-320\\1", "1e300\\1e300", "NaN\\1", "1", "inf\\inf", "12\\12\\12"]),
        (.rows, ["0", "1", "15", "17", "65535", "32768"]), (.columns, ["0", "1", "15", "17", "65535", "32768"]),
        (.bitsAllocated, ["0", "1", "8", "12", "16", "32", "65535"]), (.bitsStored, ["0", "1", "8", "12", "17", "65535"]),
        (.highBit, ["0", "7", "11", "15", "16", "65535"]), (.pixelRepresentation, ["0", "1", "2", "65535"]),
        (.samplesPerPixel, ["0", "2", "3", "65535"]), (.photometricInterpretation, ["MONOCHROME1", "RGB", "PALETTE COLOR", "X"]),
        (.numberOfFrames, ["0", "-1", "2", "2147483647", "x"]), (.rescaleSlope, ["0", "-1", "1e308", "NaN", "inf", "1e-300"]),
        (.rescaleIntercept, ["1e308", "-1e308", "NaN", "x"]), (.rescaleType, ["OD", "US", ""]), (.pixelPaddingValue, ["0", "65535", "32768"]),
        (.sliceThickness, ["0", "-5", "NaN"]), (.imageType, ["DERIVED\\SECONDARY", "ORIGINAL\\PRIMARY\\LOCALIZER", "\\\\\\"]),
        (.sopClassUID, [SOPClass.enhancedCTImageStorage.string, SOPClass.mrImageStorage.string, "1.2.3", "x"]), (.sopInstanceUID, ["1.2", "x"]),
        (.seriesInstanceUID, ["1.2", "x"]), (.frameOfReferenceUID, ["1.2", "x"]), (.patientID, ["OTHER"]), (.patientPosition, ["FFS", "X"]),
        (.instanceNumber, ["-1", "99999999999"]), (.lossyImageCompression, ["01", "2"]),
    ]
}
