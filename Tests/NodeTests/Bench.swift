import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry
import Logging
import NodeConfiguration
import NodeStore
import NodeTesting
import Testing

@testable import Node

/// A node's parts in a folder of their own.
struct Bench {
    let folder: DataFolder
    let store: Store
    var configuration: Configuration
    let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    /// Without rules of selection of its own, a test's node contours every CT, however small.
    init(_ settings: String = "") throws {
        signal(SIGPIPE, SIG_IGN)  // as `serve` does
        let root = try Places.temporaryFolder("node")
        folder = DataFolder(root)
        store = try Store(folder: root)
        try folder.prepare()
        configuration = try Self.configuration(settings, root: root)
    }

    /// The settings of a node on that folder.
    static func configuration(_ settings: String, root: URL, port: Int = 0) throws -> Configuration {
        try Configuration.parse(
            """
            aeTitle: MEDLSAM
            port: \(port)
            host: 127.0.0.1
            dataDirectory: \(root.path)
            models: {manifests: Models, installed: none/models, runtime: none/openvino, templates: Models/templates}
            \(settings.contains("selection:") ? "" : "selection: {rules: [{name: everything}]}")
            \(settings)
            """, folder: Places.repository)
    }

    var watch: FolderWatch { get throws { try FolderWatch(folder, configuration, logger: logger) } }

    /// An axial slice of 4 x 4 pixels at a height, or what else of the same study the class says.
    static func dataSet(
        sop: String, sopClass: UID = SOPClass.ctImageStorage, patient: String = "P1", study: String = "1.3", z: Double = 0
    ) throws -> DataSet {
        let dataSet = DataSet()
        try dataSet.set(.sopClassUID, sopClass)
        try dataSet.set(.sopInstanceUID, sop)
        try dataSet.set(.studyInstanceUID, study)
        try dataSet.set(.seriesInstanceUID, "1.2")
        try dataSet.set(.patientID, patient)
        try dataSet.set(.patientName, "Doe^Jane")
        try dataSet.set(.modality, sopClass == SOPClass.ctImageStorage ? "CT" : "OT")
        try dataSet.set(.frameOfReferenceUID, "1.4")
        try dataSet.set(.imageType, ["ORIGINAL", "PRIMARY", "AXIAL"])
        try dataSet.set(.imagePositionPatient, [0, 0, z])
        try dataSet.set(.imageOrientationPatient, [1.0, 0, 0, 0, 1, 0])
        try dataSet.set(.pixelSpacing, [1.0, 1])
        try dataSet.set(.rescaleIntercept, "-1024")
        try dataSet.set(.rescaleSlope, "1")
        for (tag, value) in [
            (Tag.rows, 4), (.columns, 4), (.samplesPerPixel, 1), (.bitsAllocated, 16), (.bitsStored, 16), (.highBit, 15),
            (.pixelRepresentation, 0),
        ] { try dataSet.set(tag, value) }
        try dataSet.set(.photometricInterpretation, "MONOCHROME2")
        try dataSet.set(.pixelData, bytes: [UInt8](repeating: 4, count: 32))
        return dataSet
    }

    /// Records slices of one series, as if they had come over an association that was released.
    func receive(_ slices: ClosedRange<Int>, from source: String, at now: Date) throws {
        let association = AssociationRecord(key: "\(source) \(slices)", callingAETitle: source, calledAETitle: "MEDLSAM", peer: "p")
        for number in slices {
            let header = try SliceHeader(Self.dataSet(sop: "1.1.\(number)", z: Double(number)))
            let instance = ReceivedInstance(
                sopInstanceUID: "1.1.\(number)", sopClassUID: header.sopClassUID.string, transferSyntaxUID: "1.2.840.10008.1.2.1",
                seriesInstanceUID: "1.2", studyInstanceUID: "1.3", patientDigest: "p", digest: "d", size: 1, path: "instances/1.2/\(number).dcm",
                header: Data(NodeJSON.encode(header).utf8), refusal: nil)
            _ = try store.record(instance, of: association, at: now)
        }
        try store.associationEnded(association.key, .released, at: now)
    }

    /// A queued job of one instance.
    @discardableResult
    func queueJob(attempts: Int = 3) throws -> Int64 {
        let digest = patientDigest(of: try Self.dataSet(sop: "1.1"))
        let instance = ReceivedInstance(
            sopInstanceUID: "1.1", sopClassUID: "1.2.840.10008.5.1.4.1.1.2", transferSyntaxUID: "1.2.840.10008.1.2.1",
            seriesInstanceUID: "1.2", studyInstanceUID: "1.3", patientDigest: digest, digest: "d", size: 1, path: "instances/1.2/1.1.dcm",
            header: Data(), refusal: nil)
        let association = AssociationRecord(key: "a", callingAETitle: "A", calledAETitle: "B", peer: "p")
        let now = Date()
        _ = try store.record(instance, of: association, at: now)
        let series = try #require(try store.seriesInProgress().first)
        return try #require(
            try store.complete(
                series: series.id, lastArrival: series.lastArrival, evidence: "{}", templateSet: "head-neck", maximumAttempts: attempts, at: now))
    }

    /// A script that puts a SEG of one of the job's instances into the output folder and reports it; `change` may spoil it.
    func scriptThatMakesASegmentation(of sop: String = "1.1", z: Double = 0, reported: String = "1.5", change: (DataSet) throws -> Void = { _ in }) throws -> String {
        let made = folder.root.appending(path: "made.dcm").path, ct = folder.instances.appending(path: "1.2/1.1.dcm").path
        let source = try Self.dataSet(sop: sop, z: z), geometry = VolumeGeometry(size: [4, 4, 1], spacingMM: .one, originLPS: [0, 0, z])
        try FileManager.default.createDirectory(at: folder.instances.appending(path: "1.2"), withIntermediateDirectories: true)
        try source.write(to: ct)
        let series = CTSeries(
            instances: [SourceInstance(sopInstanceUID: UID(sop)!, sopClassUID: SOPClass.ctImageStorage, path: ct)],
            volume: Volume(geometry: geometry, voxels: [Int16](repeating: 0, count: 16)), studyInstanceUID: UID("1.3")!, seriesInstanceUID: UID("1.2")!,
            frameOfReferenceUID: UID("1.4")!)
        let brain = ResultSegment(
            name: "Brain", category: CodedConcept(value: "91723000", scheme: "SCT", meaning: "Anatomical Structure"),
            type: CodedConcept(value: "12738006", scheme: "SCT", meaning: "Brain"), color: [255, 0, 0], state: .segmented, confidence: 0.9,
            mask: Mask(geometry: geometry, voxels: [UInt8](repeating: 1, count: 16)))
        let context = ResultContext(
            softwareVersion: "0", models: [], templateSet: "head-neck", templateSetVersion: "1", deviceSerialNumber: "TEST", contentDate: Date())
        let segmentation = try SegmentationWriter.make(ContouredSeries(segments: [brain], series: series, source: source, context: context))
        try segmentation.dataSet.set(.sopInstanceUID, "1.5")
        try change(segmentation.dataSet)
        try segmentation.write(to: made)
        let report = JobReport(
            software: "", seriesInstanceUID: "1.2", studyInstanceUID: "1.3", slices: 1, isLossy: false, warnings: [], templateSet: "", method: nil, models: [],
            structures: [], objects: [.init(kind: "SEG", name: "SEG", specification: 0, sopClassUID: SOPClass.segmentationStorage.string, sopInstanceUID: reported, file: "SEG.dcm")],
            stages: [], peakMemoryMegabytes: 1)
        return """
            read -r request; out=$(echo "$request" | sed 's/.*"output":"\\([^"]*\\)".*/\\1/'); cp \(made) "$out/SEG.dcm"
            echo 'noise of a library'; echo '\(NodeJSON.encode(WorkerMessage.progress(stage: "writing", fraction: 1)))'
            echo '\(NodeJSON.encode(WorkerMessage.finished(report)))'
            """
    }
}

/// Deliveries of each of some results to each of some destinations.
func every(_ results: [NewResult], to destinations: [String]) -> [NewDelivery] {
    destinations.flatMap { destination in results.indices.map { NewDelivery(result: $0, destination: destination) } }
}
