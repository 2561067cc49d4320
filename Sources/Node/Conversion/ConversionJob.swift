import Crypto
import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry
import MedLSAM
import NodeConfiguration

/// Masks that somebody else made, with the CT they belong to, become objects of this node, or NIfTI files: what `convert` does.
public struct ConversionJob {
    /// What NIfTI files are written.
    public enum NIfTIForm: String, Sendable, CaseIterable {
        /// One file of labels.
        case labels
        /// A file of 0 and 1 a structure.
        case masks
        /// A file a structure, of probabilities where these are known.
        case probabilities
    }

    /// The files of masks, and those of the CT series.
    public var masks, scan: [String]
    public var table = StructureTable()
    /// Who or what made the masks, where neither they nor the table tell.
    public var madeBy: String?
    public var method: StructureTable.Method?
    /// Whether masks off the CT's grid are interpolated onto it.
    public var resampling = false
    public var specifications: [ResultSpecification] = []
    public var nifti: NIfTIForm?
    public var deviceSerialNumber: String
    public var contentDate = Date()
    public var timeZone = TimeZone.current

    public init(masks: [String], scan: [String], deviceSerialNumber: String) {
        self.masks = masks
        self.scan = scan
        self.deviceSerialNumber = deviceSerialNumber
    }

    /// Converts into a folder, which is made; blocks.
    ///
    /// - Throws: ConversionError and ImagingError for what cannot be used; nothing is written then.
    public func run(output: URL) throws -> ConversionReport {
        let files = try masks.map(GivenFile.init)
        let (series, source) = try readScan(for: files)
        for file in files { try file.checkPatient(of: source) }
        let given = try files.flatMap { try $0.structures(on: series, resampling: resampling, isOneOfSeveral: files.count > 1) }
        let segments = try given.map { try segment($0.structure, $0.hasNumber ? $0.structure.number : nil, $0.mask) }
        try checkNames(segments)
        do { try FileManager.default.createDirectory(at: output, withIntermediateDirectories: true) } catch {
            throw ConversionError(.cannotCreate, "\(output.path) cannot be made: \(error.localizedDescription)")
        }
        var report = ConversionReport(seriesInstanceUID: series.seriesInstanceUID.string, warnings: series.warnings, structures: try zip(given, segments).map { given, segment in
            try ConversionReport.Structure(given.structure, segment, series)
        })
        if !specifications.isEmpty {
            let conversion = Conversion(origin: Set(files.map(\.origin)).sorted().joined(separator: ", "), digest: try digest(of: segments))
            let context = ResultContext(softwareVersion: softwareVersion, conversion: conversion, deviceSerialNumber: deviceSerialNumber, contentDate: contentDate, timeZone: timeZone)
            report.files += try write(ContouredSeries(segments: segments, series: series, source: source, context: context), to: output)
        }
        if let nifti {
            report.files += try write(segments, numbers: Self.labels(of: given.map { $0.hasNumber ? $0.structure.number : nil }), on: series.volume.geometry, as: nifti, to: output)
        }
        return report
    }

    /// The series that the masks name, where the folder holds others besides.
    private func readScan(for files: [GivenFile]) throws -> (CTSeries, DataSet) {
        let found = Set(files.compactMap(\.seriesInstanceUID)).first.flatMap { wanted in
            FolderSeries.group(scan).series.first { $0.seriesInstanceUID == wanted && $0.holdsCT }
        }
        let series = try found.map { try CTSeries.read($0.instances) } ?? CTSeries.read(paths: scan)
        return (series, try DataSet(contentsOf: series.instances[0].path, stoppingBefore: .pixelData))
    }

    private func segment(_ given: GivenStructure, _ number: Int?, _ mask: PlacedMask?) throws -> ResultSegment {
        let entry = table.entry(number: number, name: given.name), what = number.map { "structure \($0)" } ?? "structure"
        guard let name = entry?.name ?? given.name else {
            throw ConversionError(.untold, "Nothing names \(what): give a table with --structures that has an entry with label \(number ?? 0).")
        }
        let known = StructureDefinition.headNeck.first { $0.name.lowercased() == name.lowercased() }
        let type = entry?.type ?? given.type ?? known.map { CodedConcept($0.type) }
        // Without objects a code is of no use.
        guard let type = type ?? (specifications.isEmpty ? CodedConcept(value: "", scheme: "", meaning: "") : nil) else {
            throw ConversionError(.untold, "Nothing tells the code of \(name): give a table with --structures that has an entry with its code and meaning, or one from \"*\" for all others.")
        }
        let sideIsGiven = entry?.type != nil || given.type != nil
        let color = entry?.color ?? given.color ?? known?.color ?? Self.palette[abs(name.utf8.reduce(0) { ($0 * 31 + Int($1)) % 65_521 }) % Self.palette.count]
        return ResultSegment(
            name: name, category: entry?.category ?? given.category ?? known.map { CodedConcept($0.category) } ?? CodedConcept(value: "91723000", scheme: "SCT", meaning: "Anatomical Structure"),
            type: type, laterality: entry?.laterality ?? given.laterality ?? (sideIsGiven ? nil : known?.laterality.map { CodedConcept($0) }), color: color,
            state: mask == nil ? .failed(reason: "the given file has nothing of it on this CT") : .segmented,
            mask: mask?.mask, probabilities: mask?.probabilities, sourceMask: mask?.sourceMask, author: try author(of: given, entry, name))
    }

    /// The table's word counts most, then what the masks say, then the command line's.
    private func author(of given: GivenStructure, _ entry: StructureTable.Entry?, _ name: String) throws -> Authorship? {
        if specifications.isEmpty { return given.author }
        if entry?.method == nil, entry?.madeBy == nil, let author = given.author, author.method == .manual || author.name != nil { return author }
        let name = entry?.madeBy ?? madeBy ?? given.author?.name
        let method = (entry?.method ?? (given.author == nil ? method : nil)).map(Authorship.Method.init) ?? given.author?.method ?? (name == nil ? nil : .automatic)
        guard let method, method == .manual || name != nil else {
            throw ConversionError(.untold, "Nothing tells who made the mask of \(given.name ?? "structure \(given.number)"): name the algorithm with --made-by, or give --method manual.")
        }
        return Authorship(method: method, name: name)
    }

    private func checkNames(_ segments: [ResultSegment]) throws {
        var seen: Set<String> = []
        if let twice = segments.first(where: { !seen.insert($0.name).inserted }) {
            throw ConversionError(.untold, "Two structures are called \(twice.name): give them names in a table with --structures.")
        }
        guard segments.contains(where: { $0.mask.map { !$0.isEmpty } ?? false }) else { throw ConversionError(.unusable, "The masks hold nothing on this CT.") }
    }

    /// What was given and what it is called: all that the objects depend on besides the CT and their options.
    private func digest(of segments: [ResultSegment]) throws -> String {
        var hash = SHA256()
        for path in masks {
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            while let part = try file.read(upToCount: 1 << 22), !part.isEmpty { hash.update(data: part) }
        }
        for segment in segments {
            hash.update(data: Data("\(segment.name)\n\(segment.category)\(segment.type)\(segment.laterality.map { "\($0)" } ?? "")\(segment.color)\(segment.author.map { "\($0)" } ?? "")\n".utf8))
        }
        hash.update(data: Data("\(resampling)".utf8))
        return hexadecimal(hash.finalize())
    }

    /// Colours that are told apart, for structures that nobody coloured: by the name, so that one keeps its own.
    private static let palette: [SIMD3<UInt8>] = [
        [230, 25, 75], [60, 180, 75], [255, 225, 25], [0, 130, 200], [245, 130, 48], [145, 30, 180], [70, 240, 240], [240, 50, 230], [210, 245, 60], [250, 190, 212],
    ]
}

extension ConversionJob {
    private func write(_ contoured: ContouredSeries, to output: URL) throws -> [String] {
        var files: [String] = [], taken: Set<String> = []
        try contoured.makeObjects(specifications) { index, object in
            let file = ContouringJob.file(for: specifications[index], besides: &taken)
            try object.write(to: output.appending(path: file).path)
            files.append(file)
        }
        return files
    }

    private func write(_ segments: [ResultSegment], numbers: [UInt16], on geometry: VolumeGeometry, as form: NIfTIForm, to output: URL) throws -> [String] {
        let drawn = zip(segments, numbers).filter { $0.0.mask != nil }
        try Data(NodeJSON.encode(StructureList(drawn.map { StructureList.Item($0, label: Int($1)) })).utf8).write(to: output.appending(path: "structures.json"))
        if form == .labels {
            try NIfTI.write(labels: drawn.map { ($1, $0.name, $0.mask!) }, on: geometry, to: output.appending(path: "labels.nii.gz").path)
            return ["labels.nii.gz", "structures.json"]
        }
        return try drawn.map { segment, _ in
            // A name may be anything.
            let file = String(segment.name.map { $0.isLetter || $0.isNumber || "-_+. ".contains($0) ? $0 : "_" }) + ".nii.gz", path = output.appending(path: file).path
            if form == .probabilities, let probabilities = segment.probabilities { try NIfTI.write(probabilities, to: path) } else { try NIfTI.write(segment.mask!, to: path) }
            return file
        } + ["structures.json"]
    }

    /// The structures' own numbers where these can be labels, else 1 and so on.
    private static func labels(of numbers: [Int?]) -> [UInt16] {
        let own = numbers.compactMap { $0.flatMap { UInt16(exactly: $0) } }.filter { $0 > 0 }
        return own.count == numbers.count && Set(own).count == own.count ? own : numbers.indices.map { UInt16(clamping: $0 + 1) }
    }
}

/// `structures.json`: a table that `convert --structures` reads.
private struct StructureList: Encodable {
    struct Item: Encodable {
        let label: Int
        let from, name, code, meaning, categoryCode, categoryMeaning, side, color, madeBy, method: String?

        init(_ segment: ResultSegment, label: Int) {
            func code(_ concept: CodedConcept) -> String? { concept.value.isEmpty ? nil : concept.scheme == "SCT" ? concept.value : "\(concept.scheme) \(concept.value)" }
            self.label = label
            from = segment.name
            name = segment.name
            (self.code, meaning) = (code(segment.type), segment.type.value.isEmpty ? nil : segment.type.meaning)
            (categoryCode, categoryMeaning) = (code(segment.category), segment.category.meaning)
            side = segment.laterality.flatMap { ["7771000": "left", "24028007": "right", "51440002": "both", "66459002": "unilateral"][$0.value] }
            color = "#" + hexadecimal([segment.color.x, segment.color.y, segment.color.z]).uppercased()
            madeBy = segment.author?.name
            method = segment.author?.method.rawValue.lowercased()
        }
    }
    let structures: [Item]

    init(_ structures: [Item]) { self.structures = structures }
}

/// What `convert` did.
public struct ConversionReport: Codable, Sendable {
    public struct Structure: Codable, Sendable {
        public let name: String
        /// What it is in the given file.
        public let number: Int
        public let from: String?
        public let volumeMillilitres: Double?
        /// Why nothing is drawn of it.
        public let absence: String?
    }
    public let seriesInstanceUID: String
    public let warnings: [String]
    public let structures: [Structure]
    /// In the output folder.
    public var files: [String] = []
}

extension ConversionReport.Structure {
    init(_ given: GivenStructure, _ segment: ResultSegment, _ series: CTSeries) throws {
        let mask = try segment.sourceMask ?? segment.mask.map { try series.sourceMask($0) }
        let volume = mask?.volumeML ?? 0
        self.init(name: segment.name, number: given.number, from: given.name, volumeMillilitres: volume > 0 ? volume : nil,
                  absence: volume > 0 ? nil : mask == nil ? "nothing of it on this CT" : "empty")
    }
}

extension Authorship.Method {
    init(_ method: StructureTable.Method) {
        self = switch method {
        case .automatic: .automatic
        case .semiautomatic: .semiautomatic
        case .manual: .manual
        }
    }
}
