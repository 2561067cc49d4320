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

    /// What no structure set can follow is reported by the options themselves.
    func structureSet(over profile: StructureSetOptions) -> StructureSetOptions {
        let options = section("structureSet") { section in
            var options = profile
            options.holes = section.word("holes", default: profile.holes)
            options.subpixel = section.flag("subpixel", default: profile.subpixel)
            options.smallestIslandMM2 = section.number("smallestIslandMM2", 0...1000, default: profile.smallestIslandMM2)
            options.smallestPieceML = section.number("smallestPieceML", 0...1000, default: profile.smallestPieceML)
            options.smoothingMM = section.number("smoothingMM", 0...1000, default: profile.smoothingMM)
            options.toleranceMM = section.numberOrWord("toleranceMM", 0...1000, word: "harmless", default: profile.toleranceMM, Double.init)
            options.maximumPoints = section.numberOrWord(
                "maximumPoints", StructureSetOptions.leastPoints...Int.max, word: "none", default: profile.maximumPoints) { Int($0) }
            options.maximumContourBytes = section.numberOrWord(
                "maximumContourBytes", StructureSetOptions.leastContourBytes...Int.max, word: "none", default: profile.maximumContourBytes) { Int($0) }
            options.atLimit = section.word("atLimit", default: profile.atLimit)
            options.largestToleranceMM = section.number("largestToleranceMM", 0...1000, default: profile.largestToleranceMM)
            options.decimals = section.integer("decimals", 2...3, default: profile.decimals)
            options.nameLength = section.integer("nameLength", 4...64, default: profile.nameLength)
            options.names.merge(section.texts("names")) { $1 }
            options.labels.merge(section.texts("labels")) { $1 }
            options.interpretedType = section.string("interpretedType", default: profile.interpretedType)
            options.interpretedTypes.merge(section.texts("interpretedTypes")) { $1 }
            options.colors.merge(section.values("colors", rgb) { "\($0) is no colour such as \"#ff8000\"" }) { $1 }
            options.emptyROIs = section.flag("emptyROIs", default: profile.emptyROIs)
            options.implicitVR = section.flag("implicitVR", default: profile.implicitVR)
            return options
        }
        for problem in options.problems { fail("structureSet", problem) }
        return options
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

    private func texts(_ key: String) -> [String: String] { values(key, { $0 }, not: { $0 }) }

    /// A mapping of structures' names to values; empty when absent.
    private func values<T>(_ key: String, _ read: (String) -> T?, not message: (String) -> String) -> [String: T] {
        known.insert(key)
        guard let node = mapping[key] else { return [:] }
        guard let entries = node.mapping else {
            fail(key, "must be a mapping of structures")
            return [:]
        }
        var found: [String: T] = [:]
        for (name, value) in entries {
            let name = name.string ?? "", text = value.scalar?.string
            if let text, let value = read(text) { found[name] = value } else { report("\(key).\(name)", value, text.map(message) ?? "must be a single value") }
        }
        return found
    }
}

/// `#ff8000`: red, green, blue.
func rgb(_ text: String) -> SIMD3<UInt8>? {
    guard text.count == 7, text.first == "#", let number = UInt32(text.dropFirst(), radix: 16) else { return nil }
    return SIMD3(UInt8(number >> 16), UInt8(number >> 8 & 255), UInt8(number & 255))
}
