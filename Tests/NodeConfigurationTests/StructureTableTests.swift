import DICOMCore
import Foundation
@testable import NodeConfiguration
import NodeTesting
import Testing

@Suite struct StructureTableTests {
    private func load(_ text: String, _ name: String) throws -> StructureTable {
        let file = try Places.temporaryFolder("table").appending(path: name)
        try text.write(to: file, atomically: true, encoding: .utf8)
        return try StructureTable.load(file.path)
    }

    private let parotid = StructureTable.Entry(
        label: 3, from: nil, name: "Parotid_L", type: CodedConcept(value: "45289007", scheme: "SCT", meaning: "Parotid gland"), category: nil,
        laterality: CodedConcept(value: "7771000", scheme: "SCT", meaning: "Left"), color: [255, 138, 128], madeBy: "Atlas, 2", method: .semiautomatic)

    @Test func yamlJSONAndCSVSayTheSame() throws {
        let yaml = try load("""
            structures:
              - {label: 3, name: Parotid_L, code: 45289007, meaning: Parotid gland, side: left, color: "#FF8A80", madeBy: "Atlas, 2", method: semiautomatic}
              - {from: "*", code: 99LOCAL A1, meaning: Something}
            """, "a.yaml")
        let json = try load(##"""
            {"structures": [{"label": 3, "name": "Parotid_L", "code": "45289007", "meaning": "Parotid gland", "side": "left", "color": "#FF8A80",
              "madeBy": "Atlas, 2", "method": "semiautomatic"}, {"from": "*", "code": "99LOCAL A1", "meaning": "Something"}]}
            """##, "a.json")
        let csv = try load("label,from,name,code,meaning,side,color,madeBy,method\r\n3,,Parotid_L,45289007,Parotid gland,left,#FF8A80,\"Atlas, 2\",semiautomatic\r\n,*,,99LOCAL A1,Something,,,,\r\n", "a.csv")
        #expect(yaml == json && json == csv)
        #expect(yaml.entries[0] == parotid)
        #expect(yaml.entry(number: 3, name: nil) == parotid)
        #expect(yaml.entry(number: 4, name: "Parotid_L")?.type?.scheme == "99LOCAL")
    }

    @Test func aNameIsFoundWhateverItsCase() {
        let table = StructureTable(entries: [.init(label: nil, from: "Left Parotid", name: "Parotid_L")])
        #expect(table.entry(number: nil, name: "left parotid")?.name == "Parotid_L")
        #expect(table.entry(number: 1, name: "right parotid") == nil)
    }

    @Test func aColourWithASignIsRefused() {
        #expect(throws: ConfigurationErrors.self) { try load("structures:\n  - {label: 1, color: \"#-12345\"}\n", "bad.yaml") }
    }

    @Test func everythingWrongIsNamedWithItsPath() throws {
        let error = #expect(throws: ConfigurationErrors.self) {
            try load("structures:\n  - {name: A, code: 1 2 3, meaning: x, color: red, side: up}\n  - {label: -1, meaning: only}\n  - {label: 1, nmae: B}\n", "bad.yaml")
        }
        let text = error?.description ?? ""
        for part in ["structures[0].label", "structures[0].code", "structures[0].color", "structures[0].side", "structures[1].label", "structures[1].meaning", "did you mean name"] {
            #expect(text.contains(part), "\(part) in \(text)")
        }
        #expect(throws: ConfigurationErrors.self) { try load("structures: []\n", "empty.yaml") }
        #expect(throws: ConfigurationErrors.self) { try load("", "empty.csv") }
    }
}
