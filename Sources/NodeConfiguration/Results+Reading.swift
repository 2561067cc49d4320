import DICOMImaging

/// The options of each kind of object, read over a profile's.
extension Section {
    func segmentation(over profile: SegmentationOptions) -> SegmentationOptions {
        section("segmentation") {
            SegmentationOptions(
                form: $0.word("form", default: profile.form), overlaps: $0.word("overlaps", default: profile.overlaps),
                emptyFrames: $0.flag("emptyFrames", default: profile.emptyFrames))
        }
    }

    func structureSet(over profile: StructureSetOptions) -> StructureSetOptions {
        section("structureSet") { section in
            var options = profile
            options.holes = section.word("holes", default: profile.holes)
            options.subpixel = section.flag("subpixel", default: profile.subpixel)
            options.smallestIslandMM2 = section.number("smallestIslandMM2", 0...1e6, default: profile.smallestIslandMM2)
            options.smallestPieceML = section.number("smallestPieceML", 0...1e4, default: profile.smallestPieceML)
            options.smoothingMM = section.number("smoothingMM", 0...100, default: profile.smoothingMM)
            options.toleranceMM = section.numberOrWord("toleranceMM", 0...10, word: "harmless", default: profile.toleranceMM, Double.init)
            options.maximumPoints = section.numberOrWord("maximumPoints", 4...1_000_000, word: "none", default: profile.maximumPoints) { Int($0) }
            options.maximumContourBytes = section.numberOrWord(
                "maximumContourBytes", 1000...100_000_000, word: "none", default: profile.maximumContourBytes) { Int($0) }
            options.atLimit = section.word("atLimit", default: profile.atLimit)
            options.largestToleranceMM = section.number("largestToleranceMM", 0...10, default: profile.largestToleranceMM)
            options.decimals = section.integer("decimals", 1...6, default: profile.decimals)
            section.readNames(into: &options)
            options.emptyROIs = section.flag("emptyROIs", default: profile.emptyROIs)
            options.implicitVR = section.flag("implicitVR", default: profile.implicitVR)
            return options
        }
    }

    /// What structures are called and shown as, to the letter that a value representation allows.
    private func readNames(into options: inout StructureSetOptions) {
        options.nameLength = integer("nameLength", 4...64, default: options.nameLength)
        options.names.merge(texts("names") { isText($0, 64) ? $0 : nil } not: { _ in "must be 1 to 64 characters without backslash" }) { $1 }
        options.labels.merge(texts("labels") { isText($0, 16) ? $0 : nil } not: { _ in "must be 1 to 16 characters without backslash" }) { $1 }
        let type = { (text: String) in isText(text, 16) && text.utf8.allSatisfy { isCode($0) } ? text : nil }
        let noType = { (text: String) in "\(text) is no value of RT ROI Interpreted Type, such as ORGAN" }
        options.interpretedType = scalar("interpretedType", default: options.interpretedType, stand: "", type, not: noType)
        options.interpretedTypes.merge(texts("interpretedTypes", type, not: noType)) { $1 }
        options.colors.merge(texts("colors", color) { "\($0) is no colour such as \"#ff8000\"" }) { $1 }
    }

    func captures(over profile: CaptureOptions) -> CaptureOptions {
        section("captures") {
            CaptureOptions(
                windowCenter: $0.number("windowCenter", -32768...32768, default: profile.windowCenter),
                windowWidth: $0.number("windowWidth", 1...65536, default: profile.windowWidth),
                size: $0.integer("size", 64...2048, default: profile.size), slices: $0.word("slices", default: profile.slices))
        }
    }

    func measurements(over profile: MeasurementOptions) -> MeasurementOptions {
        section("measurements") {
            MeasurementOptions(
                attenuation: $0.words("attenuation", default: profile.attenuation), imageLibrary: $0.flag("imageLibrary", default: profile.imageLibrary))
        }
    }

    /// A number, or a word for none.
    private func numberOrWord<T: Comparable>(
        _ key: String, _ range: ClosedRange<T>, word: String, default value: T?, _ read: (String) -> T?
    ) -> T? {
        scalar(key, default: .some(value), stand: nil) { text -> T?? in
            text == word ? .some(nil) : read(text).flatMap { range.contains($0) ? .some($0) : nil }
        } not: { "\($0) is neither \(word) nor a number from \(range.lowerBound) to \(range.upperBound)" }
    }

    /// A mapping of any names to values; empty when absent.
    private func texts<T>(_ key: String, _ read: (String) -> T?, not message: (String) -> String) -> [String: T] {
        known.insert(key)
        guard let node = mapping[key] else { return [:] }
        guard let entries = node.mapping else {
            fail(key, "must be a mapping of structures")
            return [:]
        }
        var found: [String: T] = [:]
        for (name, value) in entries {
            let text = value.scalar?.string ?? ""
            if let name = name.string, let value = read(text) { found[name] = value } else { report(key + ".\(name.string ?? "")", value, message(text)) }
        }
        return found
    }
}

/// Whether a text fits a value representation of that length (PS3.5 6.2): LO, SH, CS.
private func isText(_ text: String, _ length: Int) -> Bool {
    (1...length).contains(text.count) && !text.unicodeScalars.contains { $0 == "\\" || $0.properties.generalCategory == .control }
}

/// Whether a character may stand in a code string (PS3.5 6.2).
private func isCode(_ character: UInt8) -> Bool {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: " "): true
    default: false
    }
}

/// `#ff8000`: red, green, blue.
private func color(_ text: String) -> SIMD3<UInt8>? {
    guard text.count == 7, text.first == "#", let number = UInt32(text.dropFirst(), radix: 16) else { return nil }
    return SIMD3(UInt8(number >> 16), UInt8(number >> 8 & 255), UInt8(number & 255))
}
