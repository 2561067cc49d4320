import DICOMCore
import Foundation

/// A CT of a few small slices of air, for what does not depend on what is in it; each part of it can be spoilt.
struct SmallScan {
    var name = "small"
    var slices = 6
    var sopClassUID = SOPClass.ctImageStorage
    var modality = "CT"
    var imageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    /// The slice whose pixel data ends early.
    var brokenSlice: Int?

    func sopInstanceUID(_ k: Int) -> UID { UID.derived(from: ["small scan", name, "slice", String(k)]) }

    /// Writes the slices into a folder; returns it.
    func write(to folder: URL) throws -> String {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for k in 0..<slices { try slice(k).write(to: folder.appending(path: "\(k).dcm").path) }
        return folder.path
    }

    private func slice(_ k: Int) throws -> DataSet {
        let d = DataSet(), side = 32
        try d.set(.imageType, imageType)
        try d.set(.sopClassUID, sopClassUID)
        try d.set(.sopInstanceUID, sopInstanceUID(k))
        try d.set(.modality, modality)
        try d.set(.patientName, "SMALL^SCAN")
        try d.set(.patientID, name)
        try d.set(.studyInstanceUID, UID.derived(from: ["small scan", name, "study"]))
        try d.set(.seriesInstanceUID, UID.derived(from: ["small scan", name, "series"]))
        try d.set(.frameOfReferenceUID, UID.derived(from: ["small scan", name, "frame"]))
        try d.set(.instanceNumber, k + 1)
        try d.set(.imageOrientationPatient, [1, 0, 0, 0, 1, 0] as [Double])
        try d.set(.imagePositionPatient, [0, 0, 3 * Double(k)])
        try d.set(.pixelSpacing, [4, 4] as [Double])
        try d.set(.samplesPerPixel, 1)
        try d.set(.photometricInterpretation, "MONOCHROME2")
        try d.set(.rows, side)
        try d.set(.columns, side)
        try d.set(.bitsAllocated, 16)
        try d.set(.bitsStored, 16)
        try d.set(.highBit, 15)
        try d.set(.pixelRepresentation, 1)
        try d.set(.rescaleIntercept, -1000)
        try d.set(.rescaleSlope, 1)
        try d.set(.pixelData, bytes: [UInt8](repeating: 0, count: k == brokenSlice ? 100 : side * side * 2))
        return d
    }
}
