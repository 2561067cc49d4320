import DICOMImaging
import Foundation
import Testing

@testable import NodeConfiguration

@Suite struct ResultsTests {
    private func parse(_ destination: String) throws -> Configuration.Results {
        try Configuration.parse("""
            aeTitle: MEDLSAM
            dataDirectory: data
            models: {manifests: m, installed: i, runtime: /r, templates: t}
            destinations:
              - {name: a, aeTitle: A, host: h, port: 1, \(destination)}
            """, folder: URL(fileURLWithPath: "/etc/medlsam")).destinations[0].results
    }

    private func errors(_ destination: String) -> [String] {
        do {
            _ = try parse(destination)
            return []
        } catch { return (error as? ConfigurationErrors)?.errors.map(\.description) ?? ["\(error)"] }
    }

    @Test func aDestinationThatSaysNothingGetsASegmentationAndAStructureSet() throws {
        #expect(try parse("") == Configuration.Results(.generic))
        #expect(try parse("").items.map(\.specification) == [.segmentation(.init()), .structureSet(.init())])
    }

    @Test(arguments: Configuration.Results.Profile.allCases)
    func everyProfileIsOneThatCanBeWritten(profile: Configuration.Results.Profile) throws {
        let results = try parse("profile: \(profile)")
        #expect(results == Configuration.Results(profile) && !results.objects.isEmpty && results.structureSet.problems.isEmpty)
    }

    @Test func planningSystemsGetStructureSetsWithNamesOf16Characters() throws {
        for profile in [Configuration.Results.Profile.eclipse, .raystation, .monaco, .pinnacle] {
            let results = Configuration.Results(profile)
            #expect(results.objects == [.structureSet] && results.structureSet.nameLength == 16 && !results.structureSet.emptyROIs)
        }
    }

    @Test func aProfileIsOverriddenKeyByKey() throws {
        let results = try parse("""
            profile: eclipse, objects: [RTSTRUCT, SUMMARY, PDF], structureSet: {holes: xor, maximumPoints: 400, toleranceMM: 0.2,
              maximumContourBytes: none, names: {Brainstem: Hirnstamm}, colors: {Brainstem: "#0080ff"}, interpretedTypes: {SpinalCord: AVOIDANCE}},
            captures: {windowWidth: 350, slices: all}, measurements: {attenuation: [mean], imageLibrary: false}
            """)
        var expected = Configuration.Results(.eclipse)
        expected.objects = [.structureSet, .summary, .document]
        expected.structureSet.holes = .xor
        expected.structureSet.maximumPoints = 400
        expected.structureSet.toleranceMM = 0.2
        expected.structureSet.maximumContourBytes = nil
        expected.structureSet.names = ["Brainstem": "Hirnstamm"]
        expected.structureSet.colors = ["Brainstem": SIMD3(0, 128, 255)]
        expected.structureSet.interpretedTypes = ["SpinalCord": "AVOIDANCE"]
        expected.captures = CaptureOptions(windowWidth: 350, slices: .all)
        expected.measurements = MeasurementOptions(attenuation: [.mean], imageLibrary: false)
        #expect(results == expected)
    }

    @Test func aLabelMapComesWithABinarySegmentationAndAReportOfEach() throws {
        let items = try parse("objects: [SR, SEG], segmentation: {form: labelmap, emptyFrames: true}").items
        let labelMap = SegmentationOptions(form: .labelmap, emptyFrames: true), binary = SegmentationOptions(form: .binary, emptyFrames: true)
        #expect(items == [
            .init(specification: .segmentation(labelMap), condition: .decides), .init(specification: .segmentation(binary), condition: .ifNotTaken),
            .init(specification: .measurements(.init(), of: labelMap), condition: .ifTaken),
            .init(specification: .measurements(.init(), of: binary), condition: .ifNotTaken),
        ])
        #expect(try parse("objects: [SR]").items == [.init(specification: .measurements(.init(), of: nil), condition: .always)])
    }

    @Test func whatIsWrongIsReportedWithItsPath() {
        let found = errors("""
            profile: osirix, objects: [SEG, SEG, XYZ], segmentation: {form: nrrd, empty: true}, structureSet: {holes: none, nameLength: 70,
              labels: {Brainstem: "longer than 16 characters"}, colors: {Brainstem: red}, names: [a], maximumPoints: 3, toleranceMM: -1},
            captures: {size: 10}, measurements: {attenuation: [median]}
            """)
        for expected in [
            "destinations[0].profile: osirix is none of generic, ohif,", "destinations[0].objects: names an object twice",
            "destinations[0].objects[2]: XYZ is none of SEG, RTSTRUCT", "destinations[0].segmentation.form: nrrd is none of binary",
            "destinations[0].segmentation.empty: is not a setting", "destinations[0].structureSet.holes: none is none of keyhole",
            "destinations[0].structureSet.nameLength: 70 is not", "destinations[0].structureSet: label of Brainstem must",
            "destinations[0].structureSet.colors.Brainstem: red is no colour", "destinations[0].structureSet.names: must be a mapping",
            "destinations[0].structureSet.maximumPoints: 3 is neither none nor", "destinations[0].structureSet.toleranceMM: -1 is neither harmless nor",
            "destinations[0].captures.size: 10 is not", "destinations[0].measurements.attenuation[0]: median is none of",
        ] { #expect(found.contains { $0.hasPrefix(expected) }, "\(expected) not in \(found)") }
        #expect(errors("objects: []").contains { $0.hasPrefix("destinations[0].objects: must not be empty") })
    }
}
