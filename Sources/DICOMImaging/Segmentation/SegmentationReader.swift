import DICOMCore
import ImagingGeometry

/// Reads the masks of a Segmentation object of whatever maker: BINARY, FRACTIONAL or LABELMAP (PS3.3 A.51 and its label map sibling).
///
/// Frames may come in any order, for some of the slices or some of their pixels; segments may be numbered at will and overlap.
public enum SegmentationReader {
    /// The structures and where their pixels are.
    ///
    /// - Parameter frameOfReferenceUID: that of the scan; nil: any.
    /// - Throws: `unreadable` where attributes are missing or contradict each other, `unsupported` for other kinds of pixels,
    ///   `inconsistent` where the object lies in another frame of reference.
    public static func masks(in dataSet: DataSet, frameOfReferenceUID: UID? = nil) throws(ImagingError) -> GivenMasks {
        let name = "Segmentation \(dataSet.uid(.sopInstanceUID)?.string ?? "without UID")"
        do throws(Refusal) {
            guard let sopClass = dataSet.uid(.sopClassUID), [SOPClass.segmentationStorage, SOPClass.labelMapSegmentationStorage].contains(sopClass) else {
                throw Refusal(.unsupported, "it is no Segmentation")
            }
            if let wanted = frameOfReferenceUID, let found = dataSet.uid(.frameOfReferenceUID), found != wanted {
                throw Refusal(.inconsistent, "it lies in frame of reference \(found), not \(wanted)")
            }
            return try masks(in: dataSet, name: name)
        } catch {
            throw ImagingError(error.code, "\(name) rejected: \(error.reason).")
        }
    }

    private static func masks(in dataSet: DataSet, name: String) throws(Refusal) -> GivenMasks {
        let structures = try structures(dataSet), frames = try FrameAttributes.frames(of: dataSet)
        let pixels = try SegmentPixels(dataSet, frames: frames.count)
        let planes = try planes(frames, pixels)
        if case .labelmap = pixels.form {
            let presence = try pixels.presence()
            let framesOfStructure = structures.map { structure in presence.indices.filter { presence[$0].contains(structure.number) } }
            return GivenMasks(name: name, structures: structures, isFractional: false, planes: planes, planesOfStructure: framesOfStructure, isBlock: false) {
                structure, frame throws(Refusal) in try pixels.pixels(ofFrame: frame, label: structures[structure].number)
            }
        }
        let places = Dictionary(uniqueKeysWithValues: zip(structures.map(\.number), structures.indices))
        var framesOfStructure = [[Int]](repeating: [], count: structures.count)
        for (n, frame) in frames.enumerated() {
            guard let number = frame.holder(of: .referencedSegmentNumber, in: .segmentIdentificationSequence)?.integer(.referencedSegmentNumber), let place = places[number] else {
                throw Refusal(.unreadable, "frame \(n + 1) names no segment of its own (Referenced Segment Number)")
            }
            framesOfStructure[place].append(n)
        }
        return GivenMasks(name: name, structures: structures, isFractional: pixels.form.isFractional, planes: planes, planesOfStructure: framesOfStructure, isBlock: false) {
            _, frame throws(Refusal) in try pixels.pixels(ofFrame: frame)
        }
    }

    private static func planes(_ frames: [FrameAttributes], _ pixels: SegmentPixels) throws(Refusal) -> PixelPlanes {
        var planes: [PixelPlanes.Plane] = []
        for (n, frame) in frames.enumerated() {
            let position = frame.doubles(.imagePositionPatient, in: .planePositionSequence)
            let orientation = frame.doubles(.imageOrientationPatient, in: .planeOrientationSequence)
            let spacing = frame.doubles(.pixelSpacing, in: .pixelMeasuresSequence)
            guard position.count == 3, orientation.count == 6, spacing.count == 2, let plane = PixelPlanes.Plane(
                originLPS: SIMD3(position), columnStep: SIMD3(orientation[..<3]) * spacing[1], rowStep: SIMD3(orientation[3...]) * spacing[0]) else {
                throw Refusal(.unreadable, "frame \(n + 1) does not say where it lies (Image Position and Orientation, Pixel Spacing)")
            }
            planes.append(plane)
        }
        return PixelPlanes(columns: pixels.columns, rows: pixels.rows, planes: planes)
    }

    private static func structures(_ dataSet: DataSet) throws(Refusal) -> [GivenStructure] {
        var structures: [GivenStructure] = []
        for item in dataSet.items(.segmentSequence) {
            guard let number = item.integer(.segmentNumber), (0...Int(UInt16.max)).contains(number) else { throw Refusal(.unreadable, "a segment has no Segment Number") }
            // A label map may describe its background, as segment 0.
            if number == 0 { continue }
            guard !structures.contains(where: { $0.number == number }) else { throw Refusal(.unreadable, "two segments are number \(number)") }
            structures.append(GivenStructure(
                number: number, name: item.string(.segmentLabel), category: item.concept(.segmentedPropertyCategoryCodeSequence),
                type: item.concept(.segmentedPropertyTypeCodeSequence),
                laterality: item.items(.segmentedPropertyTypeCodeSequence).first?.concept(.segmentedPropertyTypeModifierCodeSequence),
                color: sRGB(cieLab: item.integers(.recommendedDisplayCIELabValue)), author: author(item)))
        }
        guard !structures.isEmpty else { throw Refusal(.unreadable, "it has no segment") }
        return structures
    }

    private static func author(_ item: DataSet) -> Authorship? {
        guard let method = item.string(.segmentAlgorithmType).flatMap(Authorship.Method.init) else { return nil }
        let algorithm = item.items(.segmentationAlgorithmIdentificationSequence).first.flatMap { item -> Authorship.Algorithm? in
            guard let family = item.concept(.algorithmFamilyCodeSequence), let name = item.string(.algorithmName), let version = item.string(.algorithmVersion) else { return nil }
            return .init(family: family, name: name, version: version, parameters: item.string(.algorithmParameters), source: item.string(.algorithmSource))
        }
        return Authorship(method: method, name: item.string(.segmentAlgorithmName) ?? algorithm?.name, algorithm: algorithm)
    }
}

/// The pixels of a Segmentation, a frame at a time.
private struct SegmentPixels {
    enum Form {
        case binary(bits: [UInt8])
        /// Shares of Maximum Fractional Value.
        case fractional(FramePixels, maximum: Int)
        case labelmap(FramePixels)

        var isFractional: Bool { if case .fractional = self { true } else { false } }
    }

    let columns, rows, frames: Int
    let form: Form

    init(_ dataSet: DataSet, frames: Int) throws(Refusal) {
        guard let columns = dataSet.integer(.columns), let rows = dataSet.integer(.rows), (1...PixelFormat.maximumMatrix).contains(columns),
              (1...PixelFormat.maximumMatrix).contains(rows) else { throw Refusal(.unsupported, "its matrix is missing or beyond \(PixelFormat.maximumMatrix)") }
        (self.columns, self.rows, self.frames) = (columns, rows, frames)
        let type = dataSet.string(.segmentationType)
        switch type {
        case "BINARY":
            guard dataSet.integer(.bitsAllocated) == 1 else { throw Refusal(.unsupported, "it is BINARY with Bits Allocated \(dataSet.integer(.bitsAllocated) ?? 0), not 1") }
            // Nothing but bits can be packed across frames (PS3.5 8.2): compressed ones are not read.
            guard let bits = dataSet.bytes(.pixelData) else { throw Refusal(.unsupported, "it has no pixel data, or compressed bits") }
            let needed = (columns * rows * frames + 7) / 8
            guard (needed...needed + 1).contains(bits.count) else { throw Refusal(.unreadable, "its pixel data have \(bits.count) bytes; its rows, columns and frames need \(needed)") }
            form = .binary(bits: bits)
        case "FRACTIONAL":
            let format = try PixelFormat(dataSet)
            guard let maximum = dataSet.integer(.maximumFractionalValue), (1...255).contains(maximum) else { throw Refusal(.unreadable, "Maximum Fractional Value is missing or none") }
            form = .fractional(try FramePixels(dataSet, format: format, frames: frames), maximum: maximum)
        case "LABELMAP":
            let format = try PixelFormat(dataSet, interpretations: ["MONOCHROME2", "PALETTE COLOR"])
            form = .labelmap(try FramePixels(dataSet, format: format, frames: frames))
        default: throw Refusal(.unsupported, "its Segmentation Type is \(type ?? "missing")")
        }
    }

    /// 0 or 1, or shares of 255; of a label map, where a label is.
    func pixels(ofFrame frame: Int, label: Int = 0) throws(Refusal) -> [UInt8] {
        switch form {
        case .binary(let bits): return unpacked(bits, from: frame * columns * rows)
        case .fractional(let pixels, let maximum):
            // At least half of the maximum is at least half of 255, and less is less.
            let shares = (0...255).map { UInt8((Double(min($0, maximum)) / Double(maximum) * 255).rounded()) }
            return try values(pixels, frame) { shares[min(max($0, 0), 255)] }
        case .labelmap(let pixels): return try values(pixels, frame) { $0 == label ? 1 : 0 }
        }
    }

    /// The labels in each frame.
    func presence() throws(Refusal) -> [Set<Int>] {
        guard case .labelmap(let pixels) = form else { return [] }
        var presence: [Set<Int>] = []
        for frame in 0..<frames {
            let (words, found) = try pixels.words(ofFrame: frame)
            presence.append(Set(Set(words).map(found.value)))
        }
        return presence
    }

    private func values(_ pixels: FramePixels, _ frame: Int, _ value: (Int) -> UInt8) throws(Refusal) -> [UInt8] {
        let (words, found) = try pixels.words(ofFrame: frame)
        return words.map { value(found.value($0)) }
    }

    /// The first pixel is in the lowest bit, without padding between rows or frames (PS3.5 8.1.1).
    private func unpacked(_ bits: [UInt8], from start: Int) -> [UInt8] {
        let count = columns * rows
        return [UInt8](unsafeUninitializedCapacity: count) { pixels, initialized in
            bits.withUnsafeBufferPointer { bits in
                for n in 0..<count { pixels[n] = bits[(start &+ n) >> 3] >> UInt8((start &+ n) & 7) & 1 }
            }
            initialized = count
        }
    }
}
