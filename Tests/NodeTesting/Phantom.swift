import DICOMCore
import Foundation
import ImagingGeometry

/// A made-up CT series for tests that must run where no real data are.
///
/// A head in air: soft tissue in a skull, two eyes' worth of water in front, and one dense block in the patient's left
/// half, so that a mirrored or turned volume is seen at once. UIDs depend on `name` alone.
public struct Phantom: Sendable {
    public var name: String
    public var geometry: VolumeGeometry
    /// Slope and intercept that the stored values need to become Hounsfield units.
    public var slope = 1.0, intercept = -1024.0
    public var bitsStored = 16, isSigned = false
    /// Where the slices lie along the normal from the first one, in millimetres; nil: evenly, as the geometry says.
    public var heightsMM: [Double]?
    /// How far slices are shifted along columns and rows, a millimetre of height: the tangent of a gantry's tilt.
    public var lean = SIMD2<Double>.zero

    /// Centred on the patient's origin.
    public init(name: String = "head", columns: Int = 64, rows: Int = 64, slices: Int = 24, spacingMM: SIMD3<Double> = [3, 3, 5],
                columnIndexDirection: SIMD3<Double> = [1, 0, 0], rowIndexDirection: SIMD3<Double> = [0, 1, 0]) {
        self.name = name
        let atOrigin = VolumeGeometry(size: [columns, rows, slices], spacingMM: spacingMM, originLPS: .zero,
                                      columnIndexDirection: columnIndexDirection, rowIndexDirection: rowIndexDirection)
        geometry = VolumeGeometry(size: atOrigin.size, spacingMM: spacingMM, originLPS: -atOrigin.centreLPS,
                                  columnIndexDirection: columnIndexDirection, rowIndexDirection: rowIndexDirection)
    }

    public var studyInstanceUID: UID { UID.derived(from: ["phantom", name, "study"]) }
    public var seriesInstanceUID: UID { UID.derived(from: ["phantom", name, "series"]) }
    public var frameOfReferenceUID: UID { UID.derived(from: ["phantom", name, "frame of reference"]) }
    /// The instance of slice k, k = 0 first along the normal.
    public func sopInstanceUID(_ k: Int) -> UID { UID.derived(from: ["phantom", name, "slice \(k)"]) }

    /// Hounsfield units at a patient position.
    public static func hounsfield(atLPS p: SIMD3<Double>) -> Int16 {
        func isInside(_ centre: SIMD3<Double>, _ radius: SIMD3<Double>) -> Bool {
            let d = (p - centre) / radius
            return (d * d).sum() <= 1
        }
        guard isInside(.zero, [75, 90, 110]) else { return -1000 }
        if !isInside(.zero, [68, 83, 103]) { return 900 }
        if p.x > 15, p.x < 45, p.y > -20, p.y < 20, p.z > -25, p.z < 25 { return 300 }
        if isInside([30, -62, 10], [12, 12, 12]) || isInside([-30, -62, 10], [12, 12, 12]) { return 5 }
        return 40
    }

    /// Patient position of a pixel of slice k.
    public func positionLPS(_ i: Double, _ j: Double, slice k: Int) -> SIMD3<Double> {
        let height = heightsMM?[k] ?? Double(k) * geometry.spacingMM.z
        return geometry.indexToPatient([i, j, height / geometry.spacingMM.z])
            + height * (lean.x * geometry.columnIndexDirection + lean.y * geometry.rowIndexDirection)
    }

    /// The volume that a reader must find, where the slices are even and upright.
    public func volume() -> Volume {
        Volume(geometry: geometry, voxels: (0..<geometry.count).map {
            Self.hounsfield(atLPS: geometry.indexToPatient(SIMD3<Double>(geometry.index(atOffset: $0))))
        })
    }

    /// The data set of slice k; instance numbers run against the normal, so that nobody sorts by them.
    public func slice(_ k: Int) throws -> DataSet {
        let d = DataSet()
        for (tag, value): (DICOMCore.Tag, String) in [
            (.specificCharacterSet, "ISO_IR 192"), (.imageType, #"ORIGINAL\PRIMARY\AXIAL"#), (.modality, "CT"),
            (.sopClassUID, SOPClass.ctImageStorage.string), (.sopInstanceUID, sopInstanceUID(k).string),
            (.studyInstanceUID, studyInstanceUID.string), (.seriesInstanceUID, seriesInstanceUID.string),
            (.frameOfReferenceUID, frameOfReferenceUID.string), (.positionReferenceIndicator, ""),
            (.patientName, "PHANTOM^\(name)"), (.patientID, "PHANTOM"), (.patientBirthDate, "19700101"), (.patientSex, "O"),
            (.studyDate, "20260102"), (.studyTime, "030405"), (.studyID, "1"), (.accessionNumber, ""), (.referringPhysicianName, ""),
            (.seriesNumber, "2"), (.seriesDescription, "PHANTOM"), (.patientPosition, "HFS"), (.bodyPartExamined, "HEAD"),
            (.manufacturer, "medlsam-node tests"), (.contentDate, "20260102"), (.contentTime, "030405"), (.kvp, "120"),
            (.acquisitionNumber, "1"), (.instanceNumber, "\(geometry.size.z - k)"), (.photometricInterpretation, "MONOCHROME2"),
            (.rescaleType, "HU"), (.windowCenter, "40"), (.windowWidth, "400"),
        ] { try d.set(tag, value) }
        let a = geometry.columnIndexDirection, b = geometry.rowIndexDirection, position = positionLPS(0, 0, slice: k)
        try d.set(.imageOrientationPatient, [a.x, a.y, a.z, b.x, b.y, b.z])
        try d.set(.imagePositionPatient, [position.x, position.y, position.z])
        try d.set(.pixelSpacing, [geometry.spacingMM.y, geometry.spacingMM.x])
        try d.set(.sliceThickness, [geometry.spacingMM.z])
        try d.set(.rescaleSlope, [slope])
        try d.set(.rescaleIntercept, [intercept])
        for (tag, value) in [(.rows, geometry.size.y), (.columns, geometry.size.x), (.samplesPerPixel, 1), (.bitsAllocated, bitsStored > 8 ? 16 : 8),
                             (.bitsStored, bitsStored), (.highBit, bitsStored - 1), (.pixelRepresentation, isSigned ? 1 : 0)] as [(DICOMCore.Tag, Int)] {
            try d.set(tag, value)
        }
        try d.set(.pixelData, bytes: pixels(k))
        return d
    }

    private func pixels(_ k: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for j in 0..<geometry.size.y {
            for i in 0..<geometry.size.x {
                let units = Self.hounsfield(atLPS: positionLPS(Double(i), Double(j), slice: k))
                let stored = Int(((Double(units) - intercept) / slope).rounded()) & (1 << bitsStored - 1)
                bytes.append(UInt8(stored & 0xFF))
                if bitsStored > 8 { bytes.append(UInt8(stored >> 8)) }
            }
        }
        return bytes
    }

    /// Writes the series, a file a slice in the order of the normal; `change` may spoil a slice before it is written.
    @discardableResult
    public func write(into folder: URL, change: (DataSet, Int) throws -> Void = { _, _ in }) throws -> [String] {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return try (0..<geometry.size.z).map { k in
            let dataSet = try slice(k), path = folder.appending(path: String(format: "CT.%04d.dcm", k)).path
            try change(dataSet, k)
            try dataSet.write(to: path)
            return path
        }
    }

    /// Writes a head CT series into a folder and returns its files, in the order of the normal.
    @discardableResult
    public static func headCT(into folder: URL, name: String = "head", columns: Int = 64, rows: Int = 64, slices: Int = 24,
                              spacingMM: SIMD3<Double> = [3, 3, 5]) throws -> [String] {
        try Phantom(name: name, columns: columns, rows: rows, slices: slices, spacingMM: spacingMM).write(into: folder)
    }
}
