import Foundation

/// DCMTK's archive on a free port, for objects of any peer.
public struct Dcmqrscp: Sendable {
    public let port: Int
    public let aeTitle = "DCMQRSCP"
    /// Where it keeps what it was sent.
    public let storage: URL
    public let process: BackgroundProcess

    public static func start(in folder: URL) async throws -> Dcmqrscp {
        let storage = folder.appending(path: "dcmqrscp"), port = try freePort()
        try FileManager.default.createDirectory(at: storage, withIntermediateDirectories: true)
        let configuration = folder.appending(path: "dcmqrscp.cfg")
        try """
            NetworkTCPPort  = \(port)
            MaxPDUSize      = 131072
            MaxAssociations = 16
            HostTable BEGIN
            HostTable END
            VendorTable BEGIN
            VendorTable END
            AETable BEGIN
            DCMQRSCP  \(storage.path)  RW (200, 1024mb)  ANY
            AETable END

            """.write(to: configuration, atomically: true, encoding: .utf8)
        let process = try BackgroundProcess("dcmqrscp", ["-c", configuration.path], log: folder.appending(path: "dcmqrscp.log"))
        let archive = Dcmqrscp(port: port, storage: storage, process: process)
        try await answersEcho(archive.aeTitle, port)
        return archive
    }

    /// The files it holds.
    public var files: [URL] {
        let all = (try? FileManager.default.contentsOfDirectory(at: storage, includingPropertiesForKeys: nil)) ?? []
        return all.filter { $0.lastPathComponent != "index.dat" }.sorted { $0.path < $1.path }
    }
}

/// pynetdicom as an archive that takes what the standard knows, label maps too.
public struct PynetdicomArchive: Sendable {
    public let port: Int
    public let aeTitle = "PYNETDICOM"
    public let storage: URL
    public let process: BackgroundProcess

    public static func start(in folder: URL) async throws -> PynetdicomArchive {
        let storage = folder.appending(path: "pynetdicom"), port = try freePort()
        try FileManager.default.createDirectory(at: storage, withIntermediateDirectories: true)
        let script = Places.repository.appending(path: "Tests/Judges/archive.py").path
        let process = try BackgroundProcess(Places.python, [script, "\(port)", storage.path], log: folder.appending(path: "pynetdicom.log"))
        let archive = PynetdicomArchive(port: port, storage: storage, process: process)
        try await answersEcho(archive.aeTitle, port)
        return archive
    }
}

/// DCMTK's storescp, which knows neither label maps nor who calls.
public struct Storescp: Sendable {
    public let port: Int
    public let aeTitle = "STORESCP"
    public let storage: URL
    public let process: BackgroundProcess

    public static func start(in folder: URL) async throws -> Storescp {
        let storage = folder.appending(path: "storescp"), port = try freePort()
        try FileManager.default.createDirectory(at: storage, withIntermediateDirectories: true)
        let process = try BackgroundProcess("storescp", ["-od", storage.path, "\(port)"], log: folder.appending(path: "storescp.log"))
        let archive = Storescp(port: port, storage: storage, process: process)
        try await answersEcho(archive.aeTitle, port)
        return archive
    }
}

/// Orthanc on free ports, which keeps everything in the test's folder.
public struct Orthanc: Sendable {
    public let port: Int
    public let aeTitle = "ORTHANC"
    public let httpPort: Int
    public let process: BackgroundProcess
    /// The plugin that answers DICOMweb, of Debian's orthanc-dicomweb.
    public static let dicomWebPlugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"

    /// `modalities`: titles and ports on this machine, by name; `plugins`: paths of what is loaded besides.
    public static func start(in folder: URL, plugins: [String] = [], modalities: [String: (aeTitle: String, port: Int)] = [:]) async throws -> Orthanc {
        let port = try freePort(), httpPort = try freePort()
        let settings: [String: Any] = [
            "Name": "journey", "StorageDirectory": folder.appending(path: "orthanc").path,
            "IndexDirectory": folder.appending(path: "orthanc").path, "DicomAet": "ORTHANC", "DicomPort": port, "HttpPort": httpPort,
            "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "DicomCheckCalledAet": true, "Plugins": plugins,
            "DicomAlwaysAllowStore": true, "DicomAlwaysAllowEcho": true,
            "DicomAlwaysAllowFind": true, "DicomModalities": modalities.mapValues { [$0.aeTitle, "127.0.0.1", $0.port] as [Any] },
        ]
        let configuration = folder.appending(path: "orthanc.json")
        try JSONSerialization.data(withJSONObject: settings).write(to: configuration)
        // Debian installs it where only root's PATH leads.
        let program = ["/usr/sbin/Orthanc", "/usr/bin/Orthanc"].first(where: FileManager.default.isExecutableFile) ?? "Orthanc"
        let process = try BackgroundProcess(program, [configuration.path], log: folder.appending(path: "orthanc.log"))
        let archive = Orthanc(port: port, httpPort: httpPort, process: process)
        try await answersEcho(archive.aeTitle, port)
        return archive
    }

    /// Orthanc's identifiers of the instances of a modality.
    public func instances(modality: String) throws -> [String] {
        let query = #"{"Level": "Instance", "Query": {"Modality": "\#(modality)"}}"#
        let answer = try runTool("curl", ["-s", "-d", query, "http://127.0.0.1:\(httpPort)/tools/find"])
        return try JSONDecoder().decode([String].self, from: Data(answer.output.utf8))
    }

    /// Fetches all that it holds into a folder.
    public func fetchAll(to folder: URL) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let answer = try runTool("curl", ["-s", "http://127.0.0.1:\(httpPort)/instances"])
        for instance in try JSONDecoder().decode([String].self, from: Data(answer.output.utf8)) {
            try fetch(instance, to: folder.appending(path: "\(instance).dcm"))
        }
    }

    /// Asks one of its modalities for storage commitment, and waits for Orthanc's verdict.
    public func commitment(of instances: [(sopClass: String, sop: String)], by modality: String) async throws -> String {
        struct Asked: Decodable { let Path: String }
        struct Report: Decodable { let Status: String }
        let body = try JSONSerialization.data(withJSONObject: ["DicomInstances": instances.map { ["SOPClassUID": $0.sopClass, "SOPInstanceUID": $0.sop] }])
        let answer = try runTool("curl", ["-s", "-d", String(decoding: body, as: UTF8.self), "http://127.0.0.1:\(httpPort)/modalities/\(modality)/storage-commitment"])
        let asked = try JSONDecoder().decode(Asked.self, from: Data(answer.output.utf8))
        return try await eventually("Orthanc's verdict") {
            let report = try JSONDecoder().decode(Report.self, from: Data(runTool("curl", ["-s", "http://127.0.0.1:\(httpPort)\(asked.Path)"]).output.utf8))
            return report.Status == "Pending" ? nil : report.Status
        }
    }

    /// Fetches an instance as Orthanc draws it for people, as PNG.
    public func preview(ofSOPInstance uid: String, to file: URL) throws {
        let found = try runTool("curl", ["-s", "-d", uid, "http://127.0.0.1:\(httpPort)/tools/lookup"])
        struct Hit: Decodable { let Path: String }
        guard let hit = try JSONDecoder().decode([Hit].self, from: Data(found.output.utf8)).first else { return }
        try runTool("curl", ["-s", "-o", file.path, "-H", "Accept: image/png", "http://127.0.0.1:\(httpPort)\(hit.Path)/preview"])
    }

    /// Fetches an instance as the file it would give anybody.
    public func fetch(_ instance: String, to file: URL) throws {
        try runTool("curl", ["-s", "-o", file.path, "http://127.0.0.1:\(httpPort)/instances/\(instance)/file"])
    }
}

/// Waits until a peer on this machine answers C-ECHO.
public func answersEcho(_ aeTitle: String, _ port: Int) async throws {
    _ = try await eventually("C-ECHO of \(aeTitle)") {
        try runTool("echoscu", ["-to", "2", "-aec", aeTitle, "127.0.0.1", "\(port)"]).status == 0 ? true : nil
    }
}
