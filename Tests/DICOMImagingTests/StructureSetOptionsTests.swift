import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

@Suite struct StructureSetOptionsTests {
    private func options(_ change: (inout StructureSetOptions) -> Void) -> StructureSetOptions {
        var options = StructureSetOptions()
        change(&options)
        return options
    }

    private func make(_ segments: [ResultSegment], _ geometry: VolumeGeometry, _ change: (inout StructureSetOptions) -> Void = { _ in }) throws -> ResultObject {
        try StructureSetWriter.make(ContouredSeries(segments: segments, series: ResultFixture.series(geometry), source: ResultFixture.source(),
                                                    context: ResultFixture.context), options(change))
    }

    private func contours(_ object: ResultObject, roi: Int = 0) -> [DataSet] { object.dataSet.items(.roiContourSequence)[roi].items(.contourSequence) }

    private func dice(_ object: ResultObject, _ name: String, _ mask: Mask) throws -> Double {
        try StructureSetReader.masks(in: object.dataSet, geometry: mask.geometry)[name]?.dice(mask) ?? 0
    }

    @Test func aLimitOfPointsIsKeptBySimplifyingAndStated() throws {
        let geometry = ResultFixture.geometry(140, 140, 9), mask = ResultFixture.ellipsoid(geometry, center: [0.5, 0.5, 0.5], radiusMM: 60, core: 25)
        let free = try make([ResultFixture.segment("Liver", mask)], geometry)
        #expect(contours(free).contains { $0.integer(.numberOfContourPoints)! > 60 })
        let held = try make([ResultFixture.segment("Liver", mask)], geometry) { $0.maximumPoints = 60; $0.atLimit = .simplify }
        #expect(contours(held).allSatisfy { $0.integer(.numberOfContourPoints)! <= 60 })
        #expect(contours(held).count == contours(free).count, "none was split")
        let remark = held.dataSet.items(.structureSetROISequence)[0].string(.roiDescription) ?? ""
        #expect(remark.firstMatch(of: /; \d long contours simplified within (0\.\d+) mm/).flatMap { Double($0.1) }.map { $0 <= 1 } == true, "\(remark)")
        #expect(try dice(held, "Liver", mask) > 0.98)
        // What no tolerance achieves is split, and each pixel stays.
        let split = try make([ResultFixture.segment("Liver", mask)], geometry) { $0.maximumPoints = 24; $0.atLimit = .simplify; $0.largestToleranceMM = 0.3 }
        #expect(contours(split).allSatisfy { $0.integer(.numberOfContourPoints)! <= 24 } && contours(split).count > contours(free).count)
        #expect(try dice(split, "Liver", mask) == 1)
        #expect(split.dataSet.items(.structureSetROISequence)[0].string(.roiDescription)?.contains("long contours split") == true)
    }

    @Test(arguments: [2, 3], StructureSetOptions.Holes.allCases) func limitsHoldInEveryHoleMode(decimals: Int, holes: StructureSetOptions.Holes) throws {
        let geometry = ResultFixture.geometry(90, 100, 5, oblique: true)
        var random = Seeded(UInt64(decimals))
        var mask = ResultFixture.ellipsoid(geometry, center: [0.5, 0.5, 0.5], radiusMM: 38)
        for n in mask.voxels.indices where UInt8.random(in: 0...9, using: &random) == 0 { mask.voxels[n] = 0 }
        let object = try make([ResultFixture.segment("Noise", mask)], geometry) {
            $0.maximumPoints = 40; $0.maximumContourBytes = 900; $0.holes = holes; $0.decimals = decimals
        }
        for contour in contours(object) {
            let text = contour.strings(.contourData)
            #expect(contour.integer(.numberOfContourPoints)! * 3 == text.count && text.count <= 120 && text.joined(separator: "\\").utf8.count <= 900)
            #expect(text.allSatisfy { $0.count <= 16 && $0.split(separator: ".")[1].count == decimals })
        }
        if holes != .ignore { #expect(try dice(object, "Noise", mask) == 1) }
    }

    @Test func islandsAndPiecesAreLeftOutBySizeAndStated() throws {
        let geometry = ResultFixture.geometry(60, 60, 12, spacing: [1, 1, 2])
        var mask = ResultFixture.ellipsoid(geometry, center: [0.5, 0.5, 0.5], radiusMM: 9)
        let organ = mask
        mask.voxels[geometry.offset([3, 3, 4])] = 1
        for i in 50...53 { for j in 50...53 { mask.voxels[geometry.offset([i, j, 2])] = 1 } }
        let all = try make([ResultFixture.segment("Organ", mask)], geometry)
        #expect(try dice(all, "Organ", mask) == 1)
        // A single pixel's contour encloses half a square millimetre, that of 4 x 4 pixels fifteen and a half.
        let islands = try make([ResultFixture.segment("Organ", mask)], geometry) { $0.smallestIslandMM2 = 10 }
        #expect(islands.dataSet.items(.structureSetROISequence)[0].string(.roiDescription)?.contains("1 small island left out") == true)
        #expect(islands.dataSet.string(.structureSetDescription)?.contains("Islands under 10.0 mm2 are left out.") == true)
        let pieces = try make([ResultFixture.segment("Organ", mask)], geometry) { $0.smallestPieceML = 0.05 }
        #expect(try dice(pieces, "Organ", organ) == 1)
        #expect(pieces.dataSet.items(.structureSetROISequence)[0].string(.roiDescription)?.contains("2 small pieces left out") == true)
        // Nothing is left: the structure says so, and so does an object without any.
        let gone = try make([ResultFixture.segment("Small", ResultFixture.ellipsoid(geometry, center: [0.2, 0.2, 0.5], radiusMM: 2)), ResultFixture.segment("Organ", mask)], geometry) { $0.smallestPieceML = 0.5 }
        #expect(gone.dataSet.items(.structureSetROISequence)[0].string(.roiDescription) == "No contours: smaller than what is left out")
        #expect(gone.dataSet.items(.roiContourSequence).map { $0.integer(.referencedROINumber) } == [2])
        let error = #expect(throws: ImagingError.self) { try make([ResultFixture.segment("Organ", mask)], geometry) { $0.smallestPieceML = 900 } }
        #expect(error?.code == .nothingSegmented)
    }

    @Test func smoothingBetweenSlicesEvensSteps() throws {
        let geometry = ResultFixture.geometry(60, 60, 16, spacing: [1, 1, 2])
        // A cylinder with a slice that is three pixels narrower.
        var mask = Mask(empty: geometry)
        for k in 2...13 { for j in 0..<60 { for i in 0..<60 where hypot(Double(i) - 29.5, Double(j) - 29.5) < (k == 7 ? 11 : 14) { mask.voxels[geometry.offset([i, j, k])] = 1 } } }
        func areas(_ object: ResultObject) throws -> [Int] {
            let found = try #require(try StructureSetReader.masks(in: object.dataSet, geometry: geometry)["Rod"])
            return (0..<16).map { k in found.voxels[k * 3600..<(k + 1) * 3600].map(Int.init).reduce(0, +) }
        }
        let rough = try areas(make([ResultFixture.segment("Rod", mask)], geometry))
        let object = try make([ResultFixture.segment("Rod", mask)], geometry) { $0.smoothingMM = 2 }
        let smooth = try areas(object)
        #expect(rough.map { $0 > 0 } == smooth.map { $0 > 0 }, "it neither grows nor shrinks along the normal")
        #expect(rough[7] < 400 && smooth[7] > 560 && smooth[6] > 560 && smooth[2] > 560, "\(rough) \(smooth)")
        #expect(object.dataSet.string(.structureSetDescription)?.contains("Smoothed between slices, standard deviation 2.0 mm.") == true)
        // What one slice holds would be gone: it stays.
        var single = Mask(empty: geometry)
        for i in 20...30 { for j in 20...30 { single.voxels[geometry.offset([i, j, 5])] = 1 } }
        #expect(try dice(make([ResultFixture.segment("Rod", single)], geometry) { $0.smoothingMM = 4 }, "Rod", single) > 0.95)
    }

    @Test func probabilitiesPlaceContoursBetweenPixels() throws {
        let geometry = ResultFixture.geometry(60, 60, 9, spacing: [1, 1, 2])
        // Falls by 12 a millimetre from the surface of a cylinder of 17.3 mm.
        let likely = (0..<geometry.count).map { n -> UInt8 in
            let index = geometry.index(atOffset: n)
            return index.z == 0 ? 0 : UInt8(min(255, max(0, (127.5 + 12 * (17.3 - hypot(Double(index.x) - 29.5, Double(index.y) - 29.5))).rounded())))
        }
        var segment = ResultFixture.segment("Rod", Mask(geometry: geometry, voxels: likely.map { $0 >= 128 ? 1 : 0 }))
        segment.probabilities = ProbabilityMap(geometry: geometry, voxels: likely)
        func distances(_ object: ResultObject) -> [Double] {
            contours(object).flatMap { contour -> [Double] in
                let values = contour.doubles(.contourData)
                return stride(from: 0, to: values.count, by: 3).map { hypot(values[$0] + 101.5 - 29.5, values[$0 + 1] + 93.25 - 29.5) }
            }
        }
        let fine = try make([segment], geometry), coarse = try make([segment], geometry) { $0.subpixel = false }
        #expect(distances(fine).allSatisfy { abs($0 - 17.3) < 0.06 })
        #expect(distances(coarse).contains { abs($0 - 17.3) > 0.3 })
        #expect(try dice(fine, "Rod", segment.mask!) > 0.995 && dice(coarse, "Rod", segment.mask!) == 1)
        #expect(fine.dataSet.string(.structureSetDescription)?.contains("run between pixels at one half, simplified within 0.1 mm.") == true)
        #expect(coarse.dataSet.string(.structureSetDescription)?.contains("half way between the centres of inside and outside pixels, simplified within 0.318 mm.") == true)
        #expect(fine.sopInstanceUID != coarse.sopInstanceUID)
    }

    @Test func roisAreNamedColouredAndTypedByMaps() throws {
        let geometry = ResultFixture.geometry(40, 40, 9)
        let d = try make(ResultFixture.segments(geometry), geometry) {
            $0.names = ["Bone_Mandible": "Mandible", "Larynx": "Same", "Esophagus": "Same"]
            $0.labels = ["Parotid_L": "Lt parotid"]
            $0.interpretedTypes = ["Brainstem": "AVOIDANCE"]
            $0.colors = ["Bone_Mandible": [1, 2, 3]]
            $0.nameLength = 8
        }.dataSet
        #expect(d.items(.structureSetROISequence).map { $0.string(.roiName) } == ["Mandible", "SpinalCo", "Parotid_", "Same", "Brainste", "Same_2"])
        #expect(d.items(.rtROIObservationsSequence).map { $0.string(.roiObservationLabel) } == ["Mandible", "SpinalCo", "Lt parotid", "Same", "Brainste", "Same_2"])
        #expect(d.items(.rtROIObservationsSequence).map { $0.string(.rtROIInterpretedType) } == ["ORGAN", "ORGAN", "ORGAN", "ORGAN", "AVOIDANCE", "ORGAN"])
        #expect(d.items(.roiContourSequence).map { $0.integers(.roiDisplayColor) } == [[1, 2, 3], [41, 121, 255], [0, 200, 83]])
        #expect(d.string(.structureSetDescription)?.contains("Without contours: SpinalCo, Same, Same_2.") == true)
        #expect(d.items(.structureSetROISequence)[0].string(.roiGenerationDescription) == "MedLSAM 0.1.0; confidence 0.83; template set head-neck 1")
        // Numbers go before the end, so that names stay within their length.
        #expect(options { $0.nameLength = 5 }.roiNames(of: ["Parotid_L", "Parotid_R", "Parotids"]) == ["Parot", "Par_2", "Par_3"])
    }

    @Test func emptyROIsAndTransferSyntaxAreOptions() throws {
        let geometry = ResultFixture.geometry(40, 40, 9), segments = ResultFixture.segments(geometry)
        let object = try make(segments, geometry) { $0.emptyROIs = false; $0.implicitVR = true }
        #expect(object.transferSyntax == .implicitVRLittleEndian)
        #expect(object.dataSet.items(.structureSetROISequence).map { $0.integer(.roiNumber) } == [1, 3, 5])
        #expect(object.dataSet.items(.rtROIObservationsSequence).map { $0.integer(.referencedROINumber) } == [1, 3, 5])
        #expect(object.dataSet.string(.structureSetDescription)?.contains("Without contours: SpinalCord, Larynx, Esophagus.") == true)
    }

    @Test func optionsTravelAsJSONAndWhatContradictsTheStandardIsRefused() throws {
        let some = options { $0.names = ["A": "B"]; $0.colors = ["A": [1, 2, 3]]; $0.maximumContourBytes = nil; $0.toleranceMM = 0.2; $0.holes = .xor }
        #expect(try JSONDecoder().decode(StructureSetOptions.self, from: JSONEncoder().encode(some)) == some)
        #expect(StructureSetOptions().problems.isEmpty && some.problems.isEmpty)
        let bad = options {
            $0.names = ["A": "", "C": #"x\y"#]; $0.labels = ["A": "seventeen letters"]; $0.interpretedTypes = ["A": "organ"]; $0.maximumPoints = 3
            $0.maximumContourBytes = 100; $0.decimals = 5; $0.nameLength = 65; $0.toleranceMM = .nan; $0.smoothingMM = -1
        }
        #expect(bad.problems.count == 10, "\(bad.problems)")
        let geometry = ResultFixture.geometry(20, 20, 5)
        let error = #expect(throws: ImagingError.self) { try make(ResultFixture.segments(geometry), geometry) { $0.decimals = 9 } }
        #expect(error?.message.hasSuffix("decimals must be 2 or 3.") == true)
    }

    /// ../shared/interop.md, RTSTRUCT, point by point.
    @Test(arguments: StructureSetOptions.Holes.allCases) func whatOtherSystemsDemandHolds(holes: StructureSetOptions.Holes) throws {
        let geometry = ResultFixture.geometry(70, 60, 15, spacing: [0.7, 1.3, 2], oblique: holes == .xor), series = ResultFixture.series(geometry)
        let object = try make(ResultFixture.segments(geometry), geometry) { $0.holes = holes }
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "RT.dcm").path
        try object.write(to: path)
        #expect(try ResultFixture.complaints(about: path) == [])
        let d = try DataSet(contentsOf: path)
        #expect(d.string(.structureSetLabel)!.count <= 16 && d.items(.structureSetROISequence).allSatisfy { $0.string(.roiName)!.count <= 16 })
        #expect([.accessionNumber, .referringPhysicianName, .operatorsName].allSatisfy(d.contains))
        #expect(d.string(.specificCharacterSet) == "ISO_IR 192" && d.string(.patientName) == "Müßtermann^Erika")
        #expect(d.items(.rtROIObservationsSequence).allSatisfy { $0.string(.rtROIInterpretedType) == "ORGAN" })
        let frame = try #require(d.items(.referencedFrameOfReferenceSequence).first)
        #expect(frame.uid(.frameOfReferenceUID) == series.frameOfReferenceUID && d.uid(.frameOfReferenceUID) == series.frameOfReferenceUID)
        #expect(d.items(.structureSetROISequence).allSatisfy { $0.uid(.referencedFrameOfReferenceUID) == series.frameOfReferenceUID })
        let images = frame.items(.rtReferencedStudySequence)[0].items(.rtReferencedSeriesSequence)[0].items(.contourImageSequence)
        #expect(images.compactMap { $0.uid(.referencedSOPInstanceUID) } == series.instances.map(\.sopInstanceUID))
        // A ROI without contours is not in the contour sequence, and each that is has some.
        #expect(d.items(.roiContourSequence).allSatisfy { !$0.items(.contourSequence).isEmpty } && d.items(.roiContourSequence).count == 3)
        let types = d.items(.roiContourSequence).map { Set($0.items(.contourSequence).map { $0.string(.contourGeometricType) }) }
        #expect(types == [[holes == .xor ? "CLOSEDPLANAR_XOR" : "CLOSED_PLANAR"], ["CLOSED_PLANAR"], ["CLOSED_PLANAR"]])
        for contour in d.items(.roiContourSequence).flatMap({ $0.items(.contourSequence) }) {
            let text = contour.strings(.contourData), values = contour.doubles(.contourData), count = contour.integer(.numberOfContourPoints)!
            #expect(text.allSatisfy { $0.count <= 16 } && text.count == 3 * count && count >= 3)
            #expect(Array(values.prefix(3)) != Array(values.suffix(3)), "its first point is not repeated")
            // In the plane of the very image that it names.
            let image = contour.items(.contourImageSequence)[0].uid(.referencedSOPInstanceUID)
            let slice = try #require(series.instances.firstIndex { $0.sopInstanceUID == image })
            #expect(stride(from: 0, to: values.count, by: 3).allSatisfy {
                abs(geometry.patientToIndex([values[$0], values[$0 + 1], values[$0 + 2]]).z - Double(slice)) * geometry.spacingMM.z < 2e-3
            })
        }
    }
}
