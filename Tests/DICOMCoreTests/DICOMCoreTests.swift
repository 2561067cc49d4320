import DICOMCore
import Foundation
import NodeTesting
import Testing

private typealias Tag = DICOMCore.Tag

@Suite struct IdentifierTests {
    @Test(arguments: ["1.2.840.10008.1.1", "0", "2.25.1", "1.02.3", "1.2.3 ", "1.2\0"])
    func aUIDIsDigitsAndDots(_ text: String) throws {
        #expect(try #require(UID(text)).string == text.trimmingCharacters(in: ["\0", " "]))
    }

    @Test(arguments: ["", ".", "1.", ".1", "1..2", "1.a", "1/2", "../1", "1.2\n", "1 .2", "１.２", String(repeating: "1", count: 65)])
    func whatIsNoUIDIsRefused(_ text: String) { #expect(UID(text) == nil) }

    @Test func derivedUIDsAreStableAndTellPartsApart() throws {
        // sha256(b"\0"*7 + b"\1a" + b"\0"*7 + b"\2bc")[:16] as an integer, by Python.
        #expect(UID.derived(from: ["a", "bc"]).string == "2.25.84653297567445934003447572282674349047")
        #expect(UID.derived(from: ["ab", "c"]) != UID.derived(from: ["a", "bc"]))
        #expect(UID.derived(from: []) != UID.derived(from: [""]))
    }

    @Test func anAETitleIsOneToSixteenPrintableCharacters() {
        #expect(AETitle(" MEDLSAM ")?.string == "MEDLSAM")
        #expect(AETitle("0123456789ABCDEF") != nil)
        for bad in ["", "   ", "0123456789ABCDEFG", "A\\B", "A\nB", "Ä"] { #expect(AETitle(bad) == nil, "\(bad)") }
    }

    @Test func aTagNamesItsKeyword() { #expect("\(Tag.patientID)" == "PatientID (0010,0020)") }

    @Test func everyTagOfOursHasItsKeywordInTheDictionary() throws {
        try Toolkit.checkDictionary()
        let source = try String(contentsOf: Places.repository.appending(path: "Sources/DICOMCore/Tags.swift"), encoding: .utf8)
        var count = 0
        for match in source.matches(of: /static let (\w+) = Tag\(0x(\w+), 0x(\w+)\)/) {
            let tag = Tag(UInt16(match.2, radix: 16)!, UInt16(match.3, radix: 16)!)
            #expect("\(tag)".lowercased().hasPrefix(match.1.lowercased() + " "))
            count += 1
        }
        #expect(count > 250)
    }
}

@Suite struct DataSetTests {
    /// A small valid object of many VRs.
    private func sample() throws -> DataSet {
        let set = DataSet()
        try set.set(.specificCharacterSet, "ISO_IR 192")
        try set.set(.sopClassUID, SOPClass.segmentationStorage)
        try set.set(.sopInstanceUID, "2.25.7")
        try set.set(.patientName, "Müller^Zoë")
        try set.set(.imageType, ["DERIVED", "PRIMARY"])
        try set.set(.accessionNumber, "")
        try set.set(.referencedStudySequence, "")
        try set.set(.instanceNumber, 3)
        try set.set(.rows, 16)
        try set.set(.smallestImagePixelValue, -5)
        try set.set(.pixelSpacing, [0.1, 1.0 / 3])
        try set.set(.recommendedDisplayCIELabValue, [1, 65535, 0])
        try set.set(.dimensionIndexPointer, [.imagePositionPatient])
        try set.set(.procedureCodeSequence, CodedConcept(value: "77477000", scheme: "SCT", meaning: "CT"))
        let frames = try set.addItem(.perFrameFunctionalGroupsSequence)
        try frames.addItem(.planePositionSequence).set(.imagePositionPatient, [-1.5, 2, 1e-7])
        try set.set(.pixelData, bytes: [1, 2, 3, 4])
        return set
    }

    @Test(arguments: [TransferSyntax.explicitVRLittleEndian, .implicitVRLittleEndian, .deflatedExplicitVRLittleEndian, .explicitVRBigEndian])
    func whatIsWrittenReadsBackEqual(_ syntax: TransferSyntax) throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "a.dcm").path
        try sample().write(to: path, transferSyntax: syntax)
        let read = try DataSet(contentsOf: path)
        #expect(read.transferSyntaxUID == syntax.uid)
        #expect(read.string(.patientName) == "Müller^Zoë")
        #expect(read.strings(.imageType) == ["DERIVED", "PRIMARY"])
        #expect(read.contains(.accessionNumber) && read.string(.accessionNumber) == nil && read.strings(.accessionNumber).isEmpty)
        #expect(read.contains(.referencedStudySequence) && read.items(.referencedStudySequence).isEmpty)
        #expect(read.integer(.instanceNumber) == 3 && read.integer(.rows) == 16 && read.double(.rows) == 16)
        #expect(read.doubles(.pixelSpacing)[0] == 0.1 && abs(read.doubles(.pixelSpacing)[1] - 1.0 / 3) < 1e-13)
        #expect(read.integers(.recommendedDisplayCIELabValue) == [1, 65535, 0])
        #expect(read.tags(.dimensionIndexPointer) == [.imagePositionPatient])
        #expect(read.concept(.procedureCodeSequence)?.meaning == "CT")
        let plane = try #require(read.items(.perFrameFunctionalGroupsSequence).first?.items(.planePositionSequence).first)
        #expect(plane.doubles(.imagePositionPatient) == [-1.5, 2, 1e-7])
        #expect(read.bytes(.pixelData) == [1, 2, 3, 4])
        #expect(read.uid(.sopInstanceUID) == UID("2.25.7"))
        #expect(read.string(.patientID) == nil && read.items(.sourceImageSequence).isEmpty && read.bytes(.patientName) == nil)
        let headers = try DataSet(contentsOf: path, stoppingBefore: .pixelData)
        #expect(!headers.contains(.pixelData) && headers.integer(.rows) == 16)
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: Places.python)))
    func pydicomReadsWhatIsWritten() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "a.dcm").path
        try sample().write(to: path)
        let result = try runTool(Places.python, ["-c", """
        import pydicom, sys
        d = pydicom.dcmread(sys.argv[1])
        m = d.file_meta
        print(d.PatientName, d.PixelSpacing, d.DimensionIndexPointer, d.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient, m.ImplementationClassUID, m.ImplementationVersionName, m.MediaStorageSOPInstanceUID, m.MediaStorageSOPClassUID.name)
        """, path])
        #expect(result.status == 0)
        #expect(result.output == """
        Müller^Zoë [0.1, 0.33333333333333] (0020,0032) [-1.5, 2, 1e-07] 2.25.75402873250820943046713723176958522457 MEDLSAM-NODE_0 2.25.7 Segmentation Storage

        """)
    }

    @Test func decimalsFitSixteenCharactersAndRoundTripWhereTheyCan() throws {
        let set = DataSet()
        var generator = SystemRandomNumberGenerator()
        var values = [0, -0.0, 1, -1.0 / 3, .pi * 1e10, -1e-300, 5e-324, 123456789012345678, -0.000123456789012345, 0.1 + 0.2]
        values += (0..<2000).map { _ in Double.random(in: -1...1, using: &generator) * pow(10, Double.random(in: -20...20, using: &generator)) }
        for value in values {
            try set.set(.sliceLocation, value)
            let text = try #require(set.string(.sliceLocation))
            #expect(text.utf8.count <= 16 && text.wholeMatch(of: /-?[0-9.]+(e[+-]?[0-9]+)?/) != nil, "\(value) as \(text)")
            #expect(abs(set.double(.sliceLocation)! - value) <= abs(value) * 1e-8 + 5e-324, "\(value) as \(text)")
        }
        for value in [0.1, -1234.567, 1e-7, 2.5e-3] {
            try set.set(.sliceLocation, value)
            #expect(set.double(.sliceLocation) == value)
        }
    }

    @Test func aValueThatTheStandardForbidsIsRefusedAndNamesTheElement() throws {
        let set = DataSet()
        let bad: [(Tag, () throws -> Void)] = [
            (.structureSetLabel, { try set.set(.structureSetLabel, "seventeen letters") }),
            (.modality, { try set.set(.modality, "ct") }),
            (.rows, { try set.set(.rows, 65536) }),
            (.rows, { try set.set(.rows, -1) }),
            (.rows, { try set.set(.rows, 1.5) }),
            (.rows, { try set.set(.rows, "16") }),
            (.instanceNumber, { try set.set(.instanceNumber, 1 << 31) }),
            (.sliceLocation, { try set.set(.sliceLocation, Double.nan) }),
            (.patientName, { try set.set(.patientName, "Müller") }),
            (.sopInstanceUID, { try set.set(.sopInstanceUID, "1.2.x") }),
            (.imageType, { try set.set(.imageType, ["A\\B", "C"]) }),
            (.patientName, { _ = try set.addItem(.patientName) }),
            (.studyDate, { try set.set(.studyDate, "tomorrow") }),
        ]
        for (tag, body) in bad {
            let error = #expect(throws: DICOMError.self) { try body() }
            #expect(error?.code == .invalidValue && error?.message.contains("\(tag)") == true, "\(tag): \(String(describing: error))")
        }
        #expect(!set.contains(.rows))
    }

    @Test func anElementTooLongForExplicitVRIsRefusedThereAndWrittenImplicitly() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "a.dcm").path
        let set = try sample()
        let contour = try set.addItem(.roiContourSequence).addItem(.contourSequence)
        let points = (0..<20_000).map { Double($0) / 8 }
        try contour.set(.contourData, points)
        let error = #expect(throws: DICOMError.self) { try set.write(to: path) }
        #expect(error?.code == .cannotWrite && error?.message.contains("ContourData (3006,0050)") == true)
        #expect(!FileManager.default.fileExists(atPath: path))
        try set.write(to: path, transferSyntax: .implicitVRLittleEndian)
        #expect(try DataSet(contentsOf: path).items(.roiContourSequence)[0].items(.contourSequence)[0].doubles(.contourData) == points)
    }

    @Test func itemsOutliveTheSequenceAndTheDataSetTheyCameFrom() throws {
        var item: DataSet
        do {
            let set = try sample()
            item = set.items(.procedureCodeSequence)[0]
            set.remove(.procedureCodeSequence)
            try set.set(.procedureCodeSequence, CodedConcept(value: "1", scheme: "99X", meaning: "other"))
            #expect(!set.items(.procedureCodeSequence).isEmpty)
        }
        #expect(item.string(.codeMeaning) == "CT")
        item = DataSet()
    }

    @Test func copiesKeepBytesOfAnyCharacterSet() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "latin1.dcm").path
        let source = DataSet()
        try source.set(.sopClassUID, SOPClass.ctImageStorage)
        try source.set(.sopInstanceUID, "2.25.8")
        try source.set(.specificCharacterSet, "ISO_IR 100")
        try source.set(.patientName, "M#ller^Zo#")
        try source.write(to: path)
        var raw = try Data(contentsOf: URL(fileURLWithPath: path))
        let name = try #require(raw.range(of: Data("M#ller^Zo#".utf8)))
        raw.replaceSubrange(name, with: [0x4D, 0xFC] + Array("ller^Zo".utf8) + [0xEB])
        try raw.write(to: URL(fileURLWithPath: path))
        let read = try DataSet(contentsOf: path)
        #expect(read.string(.patientName) == "Müller^Zoë")
        let result = DataSet()
        for tag in [Tag.specificCharacterSet, .patientName, .sopClassUID, .sopInstanceUID, .patientID] { try result.copy(tag, from: read) }
        #expect(result.string(.patientName) == "Müller^Zoë" && !result.contains(.patientID))
        try result.write(to: path)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)).range(of: Data([0x4D, 0xFC])) != nil)
    }

    @Test func aFileMayBeWrittenOverItself() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "a.dcm").path
        let set = try sample()
        try set.set(.rows, 1024)
        let pixels = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        try set.set(.pixelData, bytes: pixels)
        try set.write(to: path)
        let read = try DataSet(contentsOf: path)
        try read.set(.rows, 1)
        try read.write(to: path)
        #expect(try DataSet(contentsOf: path).bytes(.pixelData) == pixels)
    }

    @Test func aFullDiskIsAnErrorAndLeavesNothing() throws {
        let set = try sample()
        #expect(throws: DICOMError.self) { try set.write(to: "/dev/full") }
        #expect(throws: DICOMError.self) { try set.write(to: "/nowhere/a.dcm") }
        #expect(throws: DICOMError.self) { try DataSet().write(to: FileManager.default.temporaryDirectory.path + "/none.dcm") }
    }

    @Test func elementsThatAreNotHeldAreAppendedToTheFile() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "a.dcm").path, set = try sample(), pixels = (0..<200_000).map { UInt8($0 % 251) }
        set.remove(.pixelData)
        // Longer than the file's buffer, in two pieces.
        try set.write(to: path) { output in
            output.append([0xE0, 0x7F, 0x10, 0x00, 0x4F, 0x42, 0, 0, 0x40, 0x0D, 0x03, 0x00])
            output.append(Array(pixels[..<100]))
            output.append(Array(pixels[100...]))
        }
        let read = try DataSet(contentsOf: path)
        #expect(read.bytes(.pixelData) == pixels && read.string(.patientID) == set.string(.patientID))
        #expect(throws: DICOMError.self) { try set.write(to: "/dev/full") { $0.append([UInt8](repeating: 0, count: 200_000)) } }
        #expect(throws: DICOMError.self) { try set.write(to: path + "2", transferSyntax: .implicitVRLittleEndian) { $0.append([0]) } }
        #expect(!FileManager.default.fileExists(atPath: path + "2"))
    }

    @Test func elevenThousandFramesAreWrittenAndReadInSeconds() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "a.dcm").path
        let clock = ContinuousClock()
        let set = try sample()
        set.remove(.perFrameFunctionalGroupsSequence)
        let writing = try clock.measure {
            for k in 0..<11_400 {
                let frame = try set.addItem(.perFrameFunctionalGroupsSequence)
                try frame.addItem(.frameContentSequence).set(.dimensionIndexValues, [1, k])
                try frame.addItem(.planePositionSequence).set(.imagePositionPatient, [-250.5, -250.5, Double(k) * 1.5])
                try frame.addItem(.segmentIdentificationSequence).set(.referencedSegmentNumber, 1 + k % 38)
                let source = try frame.addItem(.derivationImageSequence).addItem(.sourceImageSequence)
                try source.set(.referencedSOPClassUID, SOPClass.ctImageStorage)
                try source.set(.referencedSOPInstanceUID, "2.25.\(k)")
            }
            try set.write(to: path)
        }
        let reading = try clock.measure {
            let read = try DataSet(contentsOf: path)
            let last = try #require(read.items(.perFrameFunctionalGroupsSequence).last)
            #expect(last.items(.planePositionSequence)[0].doubles(.imagePositionPatient)[2] == 11_399 * 1.5)
        }
        #expect(writing < .seconds(20) && reading < .seconds(20), "writing \(writing), reading \(reading)")
        print("11,400 frame items: written in \(writing), read in \(reading)")
    }
}
