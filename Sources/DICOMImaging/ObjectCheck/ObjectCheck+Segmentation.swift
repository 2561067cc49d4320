import DICOMCore

extension ObjectCheck {
    func verifySegmentation(_ d: EncodedItem) throws(Breach) {
        let type = d.text(.segmentationType) ?? "", isLabelMap = type == "LABELMAP"
        try demand(isLabelMap == (d.text(.sopClassUID) == SOPClass.labelMapSegmentationStorage.string), "its Segmentation Type is not of its SOP class")
        let frames = d.items(.perFrameFunctionalGroupsSequence), shared = d.items(.sharedFunctionalGroupsSequence)
        try demand(shared.count == 1, "it has \(shared.count) items of shared functional groups, not one")
        let count = d.text(.numberOfFrames).flatMap { Int($0) } ?? -1
        try demand(count > 0 && count == frames.count, "Number of Frames is \(count), but there are \(frames.count) items of per-frame functional groups")
        try verifyPixels(d, type, frames: count)
        try verifyForm(d, type)
        let segments = try verifySegments(d, isLabelMap: isLabelMap)
        try verifyValues(d, type, segments, frames: count)
        try verifyFrames(d, frames, shared[0], segments, isLabelMap: isLabelMap)
    }

    private func verifyPixels(_ d: EncodedItem, _ type: String, frames: Int) throws(Breach) {
        func word(_ tag: Tag) -> Int { d.words(tag).first ?? -1 }
        let bits = word(.bitsAllocated)
        let allowed = switch type {
        case "BINARY": [1]
        case "FRACTIONAL": [8]
        case "LABELMAP": [8, 16]
        default: [Int]()
        }
        try demand(allowed.contains(bits) && word(.bitsStored) == bits && word(.highBit) == bits - 1, "its bits are not those of Segmentation Type \(type)")
        try demand(word(.samplesPerPixel) == 1 && word(.pixelRepresentation) == 0, "its pixels are not single unsigned numbers")
        try demand(d.text(.photometricInterpretation) == "MONOCHROME2", "its Photometric Interpretation is not that of a segmentation")
        try verifyPixelLength(d, frames: frames, bits: bits)
    }

    /// What a form alone states (PS3.3 table C.8.20-2).
    private func verifyForm(_ d: EncodedItem, _ type: String) throws(Breach) {
        let fraction = d.text(.segmentationFractionalType)
        if type == "FRACTIONAL" {
            try demand(fraction == "PROBABILITY" || fraction == "OCCUPANCY", "its Segmentation Fractional Type is neither PROBABILITY nor OCCUPANCY")
            try demand(d.words(.maximumFractionalValue).count == 1 && 1...255 ~= d.words(.maximumFractionalValue)[0], "its Maximum Fractional Value is not from 1 to 255")
        } else {
            try demand(fraction == nil && d.find(.maximumFractionalValue) == nil, "it says how fractions are meant, but holds none")
        }
        guard type == "LABELMAP" else { return }
        try demand(d.text(.segmentsOverlap) == "NO", "its segments overlap, which those of a label map cannot")
        // Readers take the segment of that number for no structure.
        try demand(d.words(.pixelPaddingValue) == [0], "its Pixel Padding Value is not the number of its background, 0")
    }

    /// No fraction is above the greatest, and every number in a label map is a segment's (PS3.3 C.8.20.2.3).
    private func verifyValues(_ d: EncodedItem, _ type: String, _ segments: Set<Int>, frames: Int) throws(Breach) {
        let greatest = type == "FRACTIONAL" ? d.words(.maximumFractionalValue)[0] : 0
        guard type == "LABELMAP" || type == "FRACTIONAL" && greatest < 255 else { return }
        // The worker writes none, and to look at them would take a codec.
        guard let index = d.find(.pixelData), d.object.nodes[index].end == index + 1 else { throw Breach("its pixels are compressed") }
        let node = d.object.nodes[index], bits = d.words(.bitsAllocated)[0]
        try demand(bits == 8 || node.vr == VR.ow, "its pixels of 16 bits are written with VR \(VR.name(node.vr))")
        let count = d.words(.rows)[0] * d.words(.columns)[0] * frames, bytes = d.object.bytes(of: node)
        var isUsed = [Bool](repeating: false, count: 1 << bits)
        isUsed.withUnsafeMutableBufferPointer { isUsed in
            if bits == 8 {
                for n in 0..<count { isUsed[Int(bytes[n])] = true }
            } else {
                for n in 0..<count { isUsed[Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: n * 2, as: UInt16.self)))] = true }
            }
        }
        for value in isUsed.indices where isUsed[value] {
            if type == "LABELMAP" {
                try demand(segments.contains(value), "a pixel is \(value), which no segment describes")
            } else {
                try demand(value <= greatest, "a pixel is \(value), above its Maximum Fractional Value")
            }
        }
    }

    /// Native pixel data hold as many bits as rows, columns and frames need; encapsulated ones a fragment a frame at least.
    func verifyPixelLength(_ d: EncodedItem, frames: Int, bits: Int) throws(Breach) {
        guard let index = d.find(.pixelData) else { throw Breach("it has no pixel data") }
        let node = d.object.nodes[index], rows = d.words(.rows).first ?? 0, columns = d.words(.columns).first ?? 0
        try demand(rows > 0 && columns > 0, "it has no rows or columns")
        if node.end > index + 1 {
            try demand(node.end - index - 2 >= frames, "its pixel data have fewer fragments than frames")
        } else {
            let needed = (rows * columns * frames * bits + 7) / 8
            try demand(node.length == needed + needed % 2, "its pixel data hold \(node.length) bytes, but rows, columns and frames need \(needed + needed % 2)")
        }
    }

    /// Returns the numbers of the segments.
    private func verifySegments(_ d: EncodedItem, isLabelMap: Bool) throws(Breach) -> Set<Int> {
        let segments = d.items(.segmentSequence), numbers = segments.map { $0.words(.segmentNumber).first ?? -1 }
        // A label map may describe its background (Supplement 243).
        let first = isLabelMap && numbers.first == 0 ? 0 : 1
        try demand(!numbers.isEmpty && numbers == Array(first..<first + numbers.count), "its segments are not numbered 1, 2, 3 ...")
        var tracking: Set<String> = []
        for (number, segment) in zip(numbers, segments) {
            try demand(segment.text(.segmentLabel) != nil, "segment \(number) has no label")
            try demand(segment.text(.segmentAlgorithmType) == "AUTOMATIC", "segment \(number) is not marked AUTOMATIC")
            try demand(segment.text(.segmentAlgorithmName) != nil, "segment \(number) names no algorithm")
            for tag: Tag in [.segmentedPropertyCategoryCodeSequence, .segmentedPropertyTypeCodeSequence] {
                try demand(segment.items(tag).count == 1, "segment \(number) has no single item in \(tag)")
            }
            let type = segment.items(.segmentedPropertyTypeCodeSequence)[0]
            let isBackground = type.text(.codeValue) == "125040" && type.text(.codingSchemeDesignator) == "DCM"
            try demand(isBackground == (number == 0), "segment \(number) is \(isBackground ? "" : "not ")the background")
            guard number > 0 else { continue }
            guard let uid = segment.text(.trackingUID), segment.text(.trackingID) != nil else { throw Breach("segment \(number) has no tracking identifier") }
            try demand(tracking.insert(uid).inserted, "segment \(number) has the Tracking UID of another")
            try demand(segment.words(.recommendedDisplayCIELabValue).count == 3, "segment \(number) has no colour")
        }
        return Set(numbers)
    }

    private func verifyFrames(_ d: EncodedItem, _ frames: [EncodedItem], _ shared: EncodedItem, _ segments: Set<Int>, isLabelMap: Bool) throws(Breach) {
        guard let references = d.items(.referencedSeriesSequence).first(where: { $0.text(.seriesInstanceUID) == source.seriesInstanceUID }) else {
            throw Breach("its Referenced Series Sequence does not name the source")
        }
        let listed = Set(references.items(.referencedInstanceSequence).compactMap { $0.text(.referencedSOPInstanceUID) })
        let pointers = d.items(.dimensionIndexSequence).map { $0.words(.dimensionIndexPointer) }
        try demand(!pointers.isEmpty, "it has no dimensions")
        try demand(!isLabelMap || !pointers.contains(Self.words(of: .referencedSegmentNumber)), "a dimension of it is of segments, of which its frames name none")
        var indices = [Index](repeating: Index(), count: pointers.count), seen: Set<[Int]> = [], used: Set<Int> = []
        let bySegment = Self.words(of: .referencedSegmentNumber), byPlace = Self.words(of: .imagePositionPatient)
        func group(_ tag: Tag, _ frame: EncodedItem) -> EncodedItem? { frame.items(tag).first ?? shared.items(tag).first }
        for (n, frame) in zip(1..., frames) {
            let images = group(.derivationImageSequence, frame)?.items(.sourceImageSequence) ?? []
            guard images.count == 1, let image = source.frame(images[0]) else { throw Breach("frame \(n) names no single source image") }
            try demand(listed.contains(image.instance), "frame \(n) names an image that the Referenced Series Sequence does not list")
            try verifyGeometry(n, d, image, group(.planePositionSequence, frame), group(.planeOrientationSequence, frame), group(.pixelMeasuresSequence, frame))
            let identification = group(.segmentIdentificationSequence, frame), segment = identification?.words(.referencedSegmentNumber).first
            if isLabelMap {
                try demand(identification == nil, "frame \(n) names a segment, but is of all")
            } else {
                guard let segment, segments.contains(segment) else { throw Breach("frame \(n) is of a segment that is not described") }
                used.insert(segment)
            }
            try demand(seen.insert([segment ?? 0, image.id]).inserted, "frame \(n) is of the same segment and image as another")
            let values = group(.frameContentSequence, frame)?.longs(.dimensionIndexValues) ?? []
            try demand(values.count == pointers.count && values.allSatisfy { $0 > 0 }, "frame \(n) has no index in each dimension")
            for (dimension, pointer) in pointers.enumerated() {
                let value = pointer == bySegment ? segment ?? 0 : pointer == byPlace ? image.id : nil
                if let value { try demand(indices[dimension].add(values[dimension], value), "the index of frame \(n) in dimension \(dimension + 1) is that of another value") }
            }
        }
        if let empty = segments.sorted().first(where: { !isLabelMap && !used.contains($0) }) { throw Breach("segment \(empty) has no frame") }
    }

    private func verifyGeometry(_ n: Int, _ d: EncodedItem, _ image: CheckedSource.Frame, _ position: EncodedItem?, _ orientation: EncodedItem?,
                                _ measures: EncodedItem?) throws(Breach) {
        try demand(d.words(.rows).first == image.rows && d.words(.columns).first == image.columns, "frame \(n) has other rows or columns than its source image")
        guard let p = position?.decimals(.imagePositionPatient), p.count == 3 else { throw Breach("frame \(n) has no position") }
        let apart = SIMD3(p) - image.positionLPS
        try demand((apart * apart).sum().squareRoot() <= Self.positionToleranceMM, "frame \(n) lies elsewhere than its source image")
        guard let o = orientation?.decimals(.imageOrientationPatient), o.count == 6 else { throw Breach("frame \(n) has no orientation") }
        try demand(image.isOriented(SIMD3(o[..<3]), SIMD3(o[3...])), "frame \(n) is oriented otherwise than its source image")
        guard let s = measures?.decimals(.pixelSpacing), s.count == 2 else { throw Breach("frame \(n) has no pixel spacing") }
        let ratio = SIMD2(s[1], s[0]) / image.pixelSpacingMM - 1
        try demand(max(ratio.max(), -ratio.min()) <= Self.spacingTolerance, "frame \(n) has another pixel spacing than its source image")
        try demand((measures?.decimals(.sliceThickness)?.first ?? 0) > 0, "frame \(n) has no slice thickness")
    }

    /// An AT value as words.
    private static func words(of tag: Tag) -> [Int] { [Int(tag.group), Int(tag.element)] }

    /// The indices of a dimension: each belongs to one value, and each value has one.
    private struct Index {
        private var values: [Int: Int] = [:], indices: [Int: Int] = [:]

        mutating func add(_ index: Int, _ value: Int) -> Bool {
            (values.updateValue(value, forKey: index) ?? value) == value && (indices.updateValue(index, forKey: value) ?? index) == index
        }
    }
}
