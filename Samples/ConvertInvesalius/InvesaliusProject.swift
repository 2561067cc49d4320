import Foundation

/// An InVesalius project file (.inv3): a gzipped tar with a property list and one raw volume of Hounsfield units.
struct InvesaliusProject {
    /// The parts of `main.plist` that a CT series needs.
    struct Description: Decodable {
        struct Matrix: Decodable {
            let filename: String
            let dtype: String
            /// Slices, rows, columns.
            let shape: [Int]
        }
        let name: String
        /// When the project was made, ISO 8601.
        let date: String
        let modality: String
        let matrix: Matrix
        /// Column, row and slice spacing, mm.
        let spacing: [Double]
        let window_width: Double
        let window_level: Double
    }

    struct Refusal: Error, CustomStringConvertible { let description: String }

    let description: Description
    /// int16 Hounsfield units, [slice, row, column], little endian.
    let voxels: Data

    var slices: Int { description.matrix.shape[0] }
    var rows: Int { description.matrix.shape[1] }
    var columns: Int { description.matrix.shape[2] }

    init(contentsOf file: URL) throws {
        description = try PropertyListDecoder().decode(Description.self, from: Self.member("main.plist", of: file))
        let matrix = description.matrix
        guard description.modality == "CT", matrix.dtype == "int16", matrix.shape.count == 3, description.spacing.count == 3 else {
            throw Refusal(description: "\(file.lastPathComponent): not a CT volume of int16")
        }
        voxels = try Self.member(matrix.filename, of: file)
        guard matrix.shape.allSatisfy({ (1...4096).contains($0) }), voxels.count == matrix.shape.reduce(2, *) else {
            throw Refusal(description: "\(file.lastPathComponent): \(voxels.count) bytes do not fill a volume of \(matrix.shape)")
        }
    }

    /// Pixel data of slice `k` as DICOM orders it: the first row anterior.
    ///
    /// InVesalius holds images as VTK does, from the bottom row up, so the rows are turned round. That the columns run from
    /// the patient's right to the left, as in the DICOM series it was made from, cannot be read off the file: it is assumed.
    func pixels(ofSlice k: Int) -> [UInt8] {
        let row = columns * 2
        return (0..<rows).reversed().flatMap { j in
            let start = voxels.startIndex + (k * rows + j) * row
            return voxels[start..<start + row]
        }
    }

    /// The bytes of the member with this name, whatever folder it lies in.
    private static func member(_ name: String, of file: URL) throws -> Data {
        let tar = Process()
        tar.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        tar.arguments = ["tar", "--extract", "--gzip", "--to-stdout", "--wildcards", "--file", file.path, "*/\(name)"]
        let pipe = Pipe()
        tar.standardOutput = pipe
        try tar.run()
        let bytes = pipe.fileHandleForReading.readDataToEndOfFile()
        tar.waitUntilExit()
        guard tar.terminationStatus == 0, !bytes.isEmpty else {
            throw Refusal(description: "\(file.lastPathComponent): holds no \(name)")
        }
        return bytes
    }
}
