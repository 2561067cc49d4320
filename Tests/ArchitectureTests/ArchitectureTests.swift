import Foundation
import Testing

/// What each room may import of ours (the table of docs/explanation/architecture.md).
private let allowed: [String: Set<String>] = [
    "CDCMTK": [], "CGDCM": [], "COpenVINO": [], "CRE2": [], "CZlib": [], "CCairo": [],
    "DICOMCore": ["CDCMTK"],
    "DICOMNetwork": ["DICOMCore", "CDCMTK"],
    "ImagingGeometry": [],
    "DICOMImaging": ["DICOMCore", "ImagingGeometry", "CGDCM", "CZlib", "CCairo"],
    "ModelRuntime": ["COpenVINO"],
    "MedLSAM": ["ImagingGeometry", "ModelRuntime"],
    "NodeStore": [],
    "NodeConfiguration": ["DICOMCore", "DICOMImaging", "CRE2"],
    "Node": ["DICOMCore", "DICOMNetwork", "ImagingGeometry", "DICOMImaging", "ModelRuntime", "MedLSAM", "NodeStore", "NodeConfiguration"],
    "medlsam-node": ["DICOMCore", "DICOMNetwork", "ImagingGeometry", "DICOMImaging", "ModelRuntime", "MedLSAM", "NodeStore", "NodeConfiguration", "Node"],
]

/// Packages from outside that only the named rooms may import.
private let outside: [String: Set<String>] = [
    "Crypto": ["DICOMCore", "ModelRuntime", "Node"],
    "Logging": ["DICOMNetwork", "Node", "medlsam-node"],
    "GRDB": ["NodeStore"],
    "Yams": ["NodeConfiguration"],
    "ServiceLifecycle": ["Node", "medlsam-node"],
    "UnixSignals": ["Node"],
    "ArgumentParser": ["medlsam-node"],
]

private struct Violation: Equatable, CustomStringConvertible {
    let room, file, module: String
    var description: String { "\(room)/\(file) imports \(module)" }
}

/// The imports in a room's sources that the table does not allow.
private func violations(room: String, source: String, file: String) -> [Violation] {
    source.split(separator: "\n").compactMap { line in
        let words = line.split(separator: " ")
        guard let at = words.firstIndex(of: "import"), at + 1 < words.count,
              words[..<at].allSatisfy({ $0.hasPrefix("@") || ["public", "internal", "private", "package", "fileprivate"].contains($0) })
        else { return nil }
        let name = words[at + 1]
        let module = String(name.prefix { $0 != "." && $0 != ";" })
        let isOurs = allowed[module] != nil
        let fine = isOurs ? allowed[room]!.contains(module) || module == room : outside[module]?.contains(room) ?? true
        return fine ? nil : Violation(room: room, file: file, module: module)
    }
}

@Suite struct ArchitectureTests {
    private let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Sources")

    @Test func everyRoomImportsOnlyWhatTheTableAllows() throws {
        for room in try FileManager.default.contentsOfDirectory(atPath: sources.path) {
            #expect(allowed[room] != nil, "Sources/\(room) is not in the table")
            let folder = sources.appending(path: room)
            var files = 0
            for case let file as URL in FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)! where file.pathExtension == "swift" {
                files += 1
                let found = violations(room: room, source: try String(contentsOf: file, encoding: .utf8), file: file.lastPathComponent)
                #expect(found.isEmpty, "\(found)")
            }
            #expect(files > 0 || room.hasPrefix("C"), "Sources/\(room) holds no Swift")
        }
    }

    @Test func aForbiddenImportIsFound() {
        let source = "import Foundation\n@preconcurrency import GRDB\npublic import MedLSAM\nimport struct Logging.Logger\n"
        #expect(violations(room: "ImagingGeometry", source: source, file: "a.swift").map(\.module) == ["GRDB", "MedLSAM"])
        #expect(violations(room: "Node", source: "import NodeStore", file: "a.swift").isEmpty)
    }

    @Test func onlyTheFacesIncludeTheToolkits() throws {
        for case let file as URL in FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil)!
        where ["cpp", "h", "c"].contains(file.pathExtension) {
            let text = try String(contentsOf: file, encoding: .utf8)
            if text.contains("dcmtk/") { #expect(file.path.contains("/CDCMTK/"), "\(file.lastPathComponent) includes DCMTK") }
            if text.contains("gdcm-3.0/") { #expect(file.path.contains("/CGDCM/"), "\(file.lastPathComponent) includes GDCM") }
        }
    }
}
