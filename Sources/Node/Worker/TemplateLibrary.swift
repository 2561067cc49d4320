import Foundation
import MedLSAM

/// The template sets of a folder, one file `NAME.json` each.
public struct TemplateLibrary: Sendable {
    let folder: URL

    public init(folder: URL) { self.folder = folder }

    /// Names of the template sets that are there.
    public func names() -> [String] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
    }

    /// Reads a template set; throws `notInstalled` when it is not there, MedLSAM's error when it cannot be read.
    public func load(_ name: String) throws -> TemplateSet {
        let file = folder.appending(path: "\(name).json")
        guard !name.contains("/"), let data = try? Data(contentsOf: file) else {
            let known = names()
            throw NodeError(
                .notInstalled,
                "There is no template set \(name) in \(folder.path); "
                    + (known.isEmpty ? "there are none." : "there are: \(known.joined(separator: ", "))."))
        }
        return try TemplateSet(decoding: data)
    }
}
