import DICOMCore
import Foundation
import NodeTesting

/// A small CT series whose files are spoilt and mended, over and over.
struct SpoiltSeries {
    let paths: [String]
    private let sound: [[UInt8]]

    /// Writes a phantom; `transcode` turns each file into the encoding wanted.
    init(in folder: URL, transcode: (String) throws -> Void) throws {
        let phantom = Phantom(name: folder.lastPathComponent, columns: 16, rows: 16, slices: 6, spacingMM: [12, 12, 40])
        paths = try phantom.write(into: folder)
        for path in paths { try transcode(path) }
        sound = try paths.map { [UInt8](try Data(contentsOf: URL(filePath: $0))) }
    }

    /// Spoils one to three files and returns which.
    func spoil(_ random: inout Seeded) throws -> [Int] {
        var victims: [Int] = []
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let victim = Int.random(in: paths.indices, using: &random)
            victims.append(victim)
            // A file whose bytes are broken already may not be readable any more.
            if Int.random(in: 0..<4, using: &random) > 0 { try? spoilElements(of: victim, &random) }
            if Int.random(in: 0..<3, using: &random) == 0 { try spoilBytes(of: victim, &random) }
        }
        return victims
    }

    func mend(_ victims: [Int]) throws {
        for victim in Set(victims) { try write(sound[victim], to: paths[victim]) }
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        defer { close(file) }
        guard file >= 0, Glibc.write(file, bytes, bytes.count) == bytes.count else { throw Expired("\(path) cannot be written") }
    }

    /// Gives elements values that no device should write: the file stays readable, what it says of its image lies.
    private func spoilElements(of victim: Int, _ random: inout Seeded) throws {
        let set = try DataSet(contentsOf: paths[victim])
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let (tag, values) = Self.lies.randomElement(using: &random)!
            switch Int.random(in: 0..<8, using: &random) {
            case 0: set.remove(tag)
            case 1: try? set.set(tag, "")
            // Longer or shorter than rows and columns say, or odd.
            case 2: try? set.set(.pixelData, bytes: [UInt8](repeating: 7, count: [0, 1, 2, 511, 513, 1024].randomElement(using: &random)!))
            default: try? Self.set(tag, values.randomElement(using: &random)!, in: set)
            }
        }
        let path = paths[victim] + ".new"
        try set.write(to: path, transferSyntax: set.transferSyntaxUID.map { TransferSyntax($0) } ?? .explicitVRLittleEndian)
        guard rename(path, paths[victim]) == 0 else { throw Expired("\(path) cannot be renamed") }
    }

    /// By its text where the VR has any, else by its number.
    private static func set(_ tag: DICOMCore.Tag, _ value: String, in set: DataSet) throws {
        do { try set.set(tag, value) } catch {
            if let number = Int(value) { try set.set(tag, number) }
        }
    }

    /// Bytes changed, cut out, doubled or cut off, anywhere behind the preamble.
    private func spoilBytes(of victim: Int, _ random: inout Seeded) throws {
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: paths[victim])))
        Spoiling.spoil(&bytes, from: 132, &random)
        try write(bytes, to: paths[victim])
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
