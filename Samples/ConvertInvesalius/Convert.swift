import DICOMCore
import Foundation

/// Turns an InVesalius project (.inv3) into the CT series that a scanner would send.
///
///     convert-invesalius Cranium.inv3 OUT_DIR
///
/// The same project always gives the same UIDs, so that sending it again is a resend.
@main
struct Convert {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count == 2, let project = arguments.first, let folder = arguments.last else {
            FileHandle.standardError.write(Data("usage: convert-invesalius PROJECT.inv3 OUT_DIR\n".utf8))
            exit(64)
        }
        do {
            let project = try InvesaliusProject(contentsOf: URL(fileURLWithPath: project))
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for k in 0..<project.slices {
                try slice(k, of: project).write(to: "\(folder)/CT.\(String(format: "%04d", k + 1)).dcm")
            }
            print("\(project.slices) slices of \(project.rows) x \(project.columns) in \(folder)")
        } catch {
            FileHandle.standardError.write(Data("convert-invesalius: \(error)\n".utf8))
            exit(65)
        }
    }

    private static func slice(_ k: Int, of project: InvesaliusProject) throws -> DataSet {
        let about = project.description
        let uid = { (parts: String...) in UID.derived(from: ["invesalius", about.name, about.date] + parts) }
        let day = about.date.prefix(10).filter(\.isNumber), time = about.date.dropFirst(11).prefix(8).filter(\.isNumber)
        let d = DataSet()
        try d.set(.specificCharacterSet, "ISO_IR 192")
        try d.set(.imageType, ["ORIGINAL", "PRIMARY", "AXIAL"])
        try d.set(.sopClassUID, SOPClass.ctImageStorage)
        try d.set(.sopInstanceUID, uid("slice", String(k)))
        for tag in [Tag.studyDate, .seriesDate, .contentDate] { try d.set(tag, day) }
        for tag in [Tag.studyTime, .seriesTime, .contentTime] { try d.set(tag, time) }
        for tag in [Tag.accessionNumber, .referringPhysicianName, .patientBirthDate, .patientSex, .positionReferenceIndicator] {
            try d.set(tag, "")
        }
        try d.set(.modality, "CT")
        try d.set(.manufacturer, "InVesalius")
        try d.set(.studyDescription, "HEAD")
        try d.set(.seriesDescription, "HEAD 1.5")
        try d.set(.patientName, "DEMO^CRANIUM")
        try d.set(.patientID, "DEMO-CRANIUM")
        try d.set(.bodyPartExamined, "HEAD")
        try d.set(.patientPosition, "HFS")
        try d.set(.kvp, "")
        try d.set(.studyInstanceUID, uid("study"))
        try d.set(.seriesInstanceUID, uid("series"))
        try d.set(.frameOfReferenceUID, uid("frame of reference"))
        try d.set(.studyID, "1")
        try d.set(.seriesNumber, 1)
        try d.set(.acquisitionNumber, 1)
        try d.set(.instanceNumber, k + 1)
        let (dx, dy, dz) = (about.spacing[0], about.spacing[1], about.spacing[2])
        try d.set(.imageOrientationPatient, [1, 0, 0, 0, 1, 0] as [Double])
        try d.set(.imagePositionPatient, [-dx * Double(project.columns - 1) / 2, -dy * Double(project.rows - 1) / 2, dz * Double(k)])
        try d.set(.pixelSpacing, [dy, dx])
        try d.set(.sliceThickness, dz)
        try d.set(.samplesPerPixel, 1)
        try d.set(.photometricInterpretation, "MONOCHROME2")
        try d.set(.rows, project.rows)
        try d.set(.columns, project.columns)
        try d.set(.bitsAllocated, 16)
        try d.set(.bitsStored, 16)
        try d.set(.highBit, 15)
        try d.set(.pixelRepresentation, 1)
        try d.set(.windowCenter, about.window_level)
        try d.set(.windowWidth, about.window_width)
        try d.set(.rescaleIntercept, 0)
        try d.set(.rescaleSlope, 1)
        try d.set(.rescaleType, "HU")
        try d.set(.pixelData, bytes: project.pixels(ofSlice: k))
        return d
    }
}
