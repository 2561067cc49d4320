import DICOMCore
import Foundation
import NodeTesting

/// The sound series that are spoilt: every encoding that the reader knows, and stacks of every kind.
enum Seeds {
    static func make(in root: URL) throws -> [SpoiltSeries] {
        let plain = Phantom(name: "plain", columns: 16, rows: 16, slices: 4, spacingMM: [12, 12, 60])
        var tilted = plain, uneven = Phantom(name: "uneven", columns: 16, rows: 16, slices: 10, spacingMM: [12, 12, 20])
        (tilted.name, tilted.lean) = ("tilted", [0, 0.3])
        uneven.heightsMM = [0, 20, 40, 60, 80, 90, 100, 110, 120, 130]
        let encoded = try encodings.map { name, tool in
            let folder = root.appending(path: name), paths = try plain.write(into: folder)
            for path in tool.isEmpty ? [] : paths { try replace(path, by: tool) }
            return paths
        }
        let multiFrame = try [[], ["dcmcrle"], ["dcmcjpls"], ["dcmconv", "+tb"]].map { tool in
            let path = root.appending(path: "multi-frame\(tool.joined())").path
            try image(of: plain).write(to: path)
            if !tool.isEmpty { try replace(path, by: tool) }
            return [path]
        }
        let htj2k = try plain.write(into: root.appending(path: "htj2k"))
        let made = try runTool(Places.python, ["-c", toHTJ2K] + htj2k)
        guard made.status == 0 else { throw Expired("HTJ2K: \(made.output)") }
        let stacks = try [tilted, uneven].map { try $0.write(into: root.appending(path: $0.name)) }
        return try (encoded + multiFrame + [htj2k] + stacks).map { try SpoiltSeries($0) }
    }

    /// By the tools of DCMTK and GDCM.
    private static let encodings: [(name: String, tool: [String])] = [
        ("explicit", []), ("implicit", ["dcmconv", "+ti"]), ("bigendian", ["dcmconv", "+tb"]), ("deflated", ["dcmconv", "+td"]), ("rle", ["dcmcrle"]),
        ("jpeg", ["dcmcjpeg", "+e1"]), ("jpegls", ["dcmcjpls"]), ("jpeg2000", ["gdcmconv", "--j2k"]),
    ]

    private static let toHTJ2K = """
        import imagecodecs, numpy, pydicom, sys
        for path in sys.argv[1:]:
            d = pydicom.dcmread(path)
            d.PixelData = pydicom.encaps.encapsulate([imagecodecs.htj2k_encode(numpy.ascontiguousarray(d.pixel_array), reversible=True)])
            d["PixelData"].VR, d["PixelData"].is_undefined_length, d.file_meta.TransferSyntaxUID = "OB", True, "1.2.840.10008.1.2.4.201"
            d.save_as(path)
        """

    private static func replace(_ path: String, by tool: [String]) throws {
        let made = try runTool(tool[0], tool.dropFirst() + [path, path + ".new"])
        guard made.status == 0, rename(path + ".new", path) == 0 else { throw Expired("\(tool[0]): \(made.output)") }
    }

    /// The phantom's slices as frames of one Enhanced CT image (PS3.3 A.38).
    private static func image(of phantom: Phantom) throws -> DataSet {
        let slices = try (0..<phantom.geometry.size.z).map(phantom.slice), image = slices[0]
        func add(_ tags: [DICOMCore.Tag], in sequence: DICOMCore.Tag, of groups: DataSet, from slice: DataSet) throws {
            let item = try groups.addItem(sequence)
            for tag in tags { try item.copy(tag, from: slice) }
        }
        let pixels = slices.flatMap { $0.bytes(.pixelData) ?? [] }
        let shared = try image.addItem(.sharedFunctionalGroupsSequence)
        try add([.pixelSpacing, .sliceThickness], in: .pixelMeasuresSequence, of: shared, from: image)
        try add([.imageOrientationPatient], in: .planeOrientationSequence, of: shared, from: image)
        try add([.rescaleSlope, .rescaleIntercept, .rescaleType], in: .pixelValueTransformationSequence, of: shared, from: image)
        for slice in slices {
            try add([.imagePositionPatient], in: .planePositionSequence, of: try image.addItem(.perFrameFunctionalGroupsSequence), from: slice)
        }
        for tag in [DICOMCore.Tag.pixelSpacing, .sliceThickness, .imageOrientationPatient, .rescaleSlope, .rescaleIntercept, .rescaleType, .imagePositionPatient] {
            image.remove(tag)
        }
        try image.set(.sopClassUID, SOPClass.enhancedCTImageStorage)
        try image.set(.numberOfFrames, slices.count)
        try image.set(.pixelData, bytes: pixels)
        return image
    }
}
