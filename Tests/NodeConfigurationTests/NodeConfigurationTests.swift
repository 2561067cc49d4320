import DICOMCore
import Foundation
import NodeTesting
import Testing

@testable import NodeConfiguration

private let folder = URL(fileURLWithPath: "/etc/medlsam")
private let least = """
    aeTitle: MEDLSAM
    dataDirectory: data
    models: {manifests: m, installed: i, runtime: /r, templates: t}
    """

/// The errors of a text, as they are printed.
private func errors(_ yaml: String) -> [String] {
    do {
        _ = try Configuration.parse(yaml, folder: folder)
        return []
    } catch { return error.errors.map(\.description) }
}

@Suite struct NodeConfigurationTests {
    @Test func theFileInTheBoxIsValidAndPointsIntoTheRepository() throws {
        let configuration = try Configuration.load(Places.repository.appending(path: "Config/node.yaml").path)
        #expect(configuration.dataDirectory.path == Places.local.appending(path: "data").path)
        #expect(configuration.models.templates.path == Places.repository.appending(path: "Models/templates").path)
        #expect(configuration.destinations.isEmpty)
    }

    @Test func theFileInTheBoxStatesTheDefaults() throws {
        let box = try Configuration.load(Places.repository.appending(path: "Config/node.yaml").path)
        var bare = try Configuration.parse(least, folder: folder)
        bare.dataDirectory = box.dataDirectory
        bare.models = box.models
        #expect(bare == box)
    }

    @Test func theSchemaKnowsTheSameSettings() throws {
        let collector = ErrorCollector()
        let ranges = Configuration.Selection.Number.allCases.map { "\($0.rawValue): {}" }.joined(separator: ", ")
        let rule = "{when: {\(ranges)}, best: {}}"
        let yaml = "{destinations: [{}], peers: [{}], tls: {}, access: {users: [{}]}, selection: {rules: [\(rule)]}}"
        _ = Configuration.read(Section(yaml: yaml, collector: collector), folder: folder)
        let schema = try JSONSerialization.jsonObject(with: Data(contentsOf: Places.repository.appending(path: "Config/node.schema.json")))
        func settings(_ node: Any, _ path: String) -> Set<String> {
            guard let node = node as? [String: Any] else { return [] }
            if let items = node["items"] { return settings(items, path + "[0]") }
            return (node["properties"] as? [String: Any] ?? [:]).reduce(into: []) { found, entry in
                let name = path.isEmpty ? entry.key : "\(path).\(entry.key)"
                found.formUnion(settings(entry.value, name).union([name]))
            }
        }
        #expect(settings(schema, "") == collector.settings)
    }

    @Test func relativePathsAreTakenFromTheFilesFolder() throws {
        let configuration = try Configuration.parse(least, folder: folder)
        #expect(configuration.dataDirectory.path == "/etc/medlsam/data")
        #expect(configuration.models.runtime.path == "/r")
    }

    @Test func allErrorsAreReportedTogetherEachWithItsPath() throws {
        let found = errors("""
            aeTitle: A TITLE THAT IS TOO LONG
            host: localhost
            port: many
            dataDirectory: data
            modles: {}
            completion: {idleSeconds: 300}
            destinations:
              - {name: a, aeTitle: A, host: h, port: 104}
              - {name: a, aeTitle: B, host: h, port: 99999}
              - wrong
            """)
        for expected in [
            "aeTitle: \"A TITLE THAT IS TOO LONG\" is not an AE title (1 to 16 characters of ASCII without backslash) (line 1)",
            "host: \"localhost\" is not a numerical IPv4 or IPv6 address (line 2)",
            "port: many is not a port (0-65535) (line 3)",
            "models.manifests: is missing",
            "modles: is not a setting; did you mean models? (line 5)",
            "completion.gapSeconds: must not be shorter than idleSeconds",
            "destinations[1].port: 99999 is not a port (1-65535) (line 9)",
            "destinations[1].name: a is the name of an earlier destination",
            "destinations[2]: must be a mapping of settings (line 10)",
        ] { #expect(found.contains(expected), "\(expected) not in \(found)") }
    }

    @Test(arguments: ["- a\n- b", "a: [", "a: 1\na: 2", "just text"])
    func whatIsNoMappingIsOneErrorOfTheFile(yaml: String) {
        #expect(errors(yaml).contains { $0.hasPrefix("not YAML") || $0.hasPrefix("the file must be") }, "\(errors(yaml))")
    }

    @Test func aFileThatIsNotThereIsAnError() {
        #expect(throws: ConfigurationErrors.self) { try Configuration.load("/nowhere/node.yaml") }
    }
}
