import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

/// Series that the tests make themselves, sound and spoilt.
@Suite struct SeriesPhantomTests {
    /// Writes the phantom, hands over its files and removes them.
    private func withSeries<R>(_ phantom: Phantom = Phantom(slices: 8), change: (DataSet, Int) throws -> Void = { _, _ in }, _ body: ([String]) throws -> R) throws -> R {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(try phantom.write(into: folder, change: change))
    }

    /// The error that a spoilt series is refused with; its message must name the series and no patient.
    private func refusal(_ phantom: Phantom = Phantom(slices: 8), _ change: (DataSet, Int) throws -> Void) throws -> ImagingError {
        try withSeries(phantom, change: change) { paths in
            let error = try #require(throws: ImagingError.self) { try CTSeries.read(paths: paths) }
            #expect(error.message.contains(phantom.seriesInstanceUID.string), "\(error)")
            for value in ["PHANTOM", "OTHER", "19710101"] { #expect(!error.message.contains(value), "\(error)") }
            return error
        }
    }

    @Test(arguments: [
        (SIMD3(1.0, 0, 0), SIMD3(0.0, 1, 0)), ([-1, 0, 0], [0, -1, 0]), ([0, 1, 0], [0, 0, -1]), ([1, 0, 0], [0, 0, -1]),
        ([0.8, 0.6, 0], [-0.6, 0.8, 0]),
    ] as [(SIMD3<Double>, SIMD3<Double>)])
    func aSeriesInAnyOrientationBecomesTheVolumeItWasMadeOf(columns: SIMD3<Double>, rows: SIMD3<Double>) throws {
        let phantom = Phantom(columns: 40, rows: 44, slices: 12, spacingMM: [4, 4.5, 9], columnIndexDirection: columns, rowIndexDirection: rows)
        try withSeries(phantom) { paths in
            let series = try CTSeries.read(paths: paths.shuffled())
            #expect(series.instances.map(\.sopInstanceUID) == (0..<12).map(phantom.sopInstanceUID))
            #expect(series.instances.map { URL(filePath: $0.path).lastPathComponent } == paths.map { URL(filePath: $0).lastPathComponent })
            #expect(series.volume.voxels == phantom.volume().voxels)
            for index in [SIMD3<Double>.zero, [39, 43, 11], [3, 20, 7]] {
                let apart = series.volume.geometry.indexToPatient(index) - phantom.geometry.indexToPatient(index)
                #expect(max(apart.max(), -apart.min()) < 1e-6)
            }
            #expect(series.seriesInstanceUID == phantom.seriesInstanceUID && series.studyInstanceUID == phantom.studyInstanceUID)
            #expect(series.frameOfReferenceUID == phantom.frameOfReferenceUID)
            #expect(!series.isLossy && series.warnings.isEmpty)
        }
    }

    @Test(arguments: [(12, false, 1.0, -1024.0), (16, false, 1, -1000), (16, true, 1, 0), (13, true, 1, 0), (12, false, 0.5, -1024), (12, true, 2, 100)])
    func anyPixelFormatGivesTheSameHounsfieldUnits(bits: Int, isSigned: Bool, slope: Double, intercept: Double) throws {
        var phantom = Phantom(columns: 30, rows: 33, slices: 6, spacingMM: [5, 5, 20])
        (phantom.bitsStored, phantom.isSigned, phantom.slope, phantom.intercept) = (bits, isSigned, slope, intercept)
        try withSeries(phantom) { paths in
            let found = try CTSeries.read(paths: paths).volume.voxels, expected = phantom.volume().voxels
            #expect(zip(found, expected).allSatisfy { abs(Int($0) - Int($1)) <= (slope > 1 ? 1 : 0) })
        }
    }

    @Test func valuesAreReadUpToTheHighBitAndHeldWithinTheirRange() throws {
        // 8 bits stored in bits 4 to 11, an overlay's litter above and below; padding and out-of-range values.
        let words: [UInt16] = [0x0000, 0xF010, 0xF7FF, 0x0800, 0x0FFF, 0x0550]
        let d = try Phantom(columns: 6, rows: 1, slices: 6).slice(0)
        for (tag, value) in [(.bitsStored, 8), (.highBit, 11), (.pixelRepresentation, 1)] as [(DICOMCore.Tag, Int)] { try d.set(tag, value) }
        try d.set(.rescaleSlope, [300.0])
        try d.set(.rescaleIntercept, [0.0])
        try d.set(.pixelPaddingValue, 0x55)
        let format = try PixelFormat(d), table = try HounsfieldScale(d).table(format)
        #expect(words.map(format.value) == [0, 1, 127, -128, -1, 0x55])
        #expect(words.map { table[Int($0)] } == [0, 300, 32767, -1024, -300, -1024])
    }

    @Test func paddingIsAirWhicheverWayItsSignWasRead() throws {
        for padding in [63536, -2000] {  // the same 16 bits
            let d = try Phantom(columns: 2, rows: 2, slices: 6).slice(0)
            try d.set(.pixelRepresentation, padding < 0 ? 1 : 0)
            try d.set(.pixelPaddingValue, padding)
            try d.set(.pixelRepresentation, 1)
            try d.set(.rescaleIntercept, [0.0])
            let table = try HounsfieldScale(d).table(try PixelFormat(d))
            #expect(table[63536] == -1024 && table[63537] == -1024 && table[65535] == -1 && table[500] == 500)
        }
    }

    @Test func localizersAndOtherClassesAreLeftOutWithAWarning() throws {
        let phantom = Phantom(slices: 8)
        try withSeries(phantom) { paths in
            let folder = URL(filePath: paths[0]).deletingLastPathComponent()
            let scout = try phantom.slice(3), other = try phantom.slice(4)
            try scout.set(.imageType, #"ORIGINAL\PRIMARY\LOCALIZER"#)
            try scout.set(.sopInstanceUID, "1.2.3.4")
            try other.set(.sopClassUID, SOPClass.secondaryCaptureImageStorage.string)
            try scout.write(to: folder.appending(path: "a.dcm").path)
            try other.write(to: folder.appending(path: "b.dcm").path)
            try Data("no DICOM".utf8).write(to: folder.appending(path: "LICENSE"))
            let series = try CTSeries.read(paths: try CTSeries.dicomFiles(in: folder.path))
            #expect(series.instances.count == 8)
            #expect(series.warnings.count == 2)
            #expect(series.warnings.contains { $0.contains("1.2.3.4") && $0.contains("localizer") })
        }
    }

    @Test func aGapIsRefusedInTheDocumentedWords() throws {
        try withSeries(Phantom(slices: 9, spacingMM: [3, 3, 1])) { paths in
            let error = try #require(throws: ImagingError.self) { try CTSeries.read(paths: paths.enumerated().filter { ![3, 4].contains($0.offset) }.map(\.element)) }
            #expect(error.message == "Series \(Phantom().seriesInstanceUID) rejected: slice spacing varies 1.0-3.0 mm (tolerance 0.1), "
                + "and slices are missing: 3.0 mm after slice 3 of 7.")
            #expect(error.code == .irregular)
        }
    }

    @Test func roundedDirectionsStillMakeARightAngledGrid() throws {
        try withSeries(change: { slice, _ in try slice.set(.imageOrientationPatient, [0.8003, 0.5999, 0, -0.6001, 0.8, 0]) }) { paths in
            let geometry = try CTSeries.read(paths: paths).volume.geometry
            #expect(geometry.orthonormality < 1e-12)
            #expect(abs(geometry.columnIndexDirection.x - 0.8) < 1e-3 && abs(geometry.rowIndexDirection.x + 0.6) < 1e-3)
        }
    }

    @Test func positionsRoundedToOneDecimalAreNoGap() throws {
        try withSeries(Phantom(slices: 20, spacingMM: [3, 3, 1.25]), change: { slice, k in
            try slice.set(.imagePositionPatient, [-100, -100, (Double(k) * 12.5).rounded() / 10])
        }) { paths in
            let series = try CTSeries.read(paths: paths)
            #expect(abs(series.volume.geometry.spacingMM.z - 1.25) < 0.01)
        }
    }

    @Test func whatIsNoRegularStackIsRefused() throws {
        let double = try refusal { slice, k in if k > 3 { try slice.set(.imagePositionPatient, try position(of: Phantom(slices: 8), k - 1)) } }
        #expect(double.code == .irregular && double.message.contains("same position") && double.message.contains(Phantom().sopInstanceUID(4).string))
        try withSeries(Phantom(slices: 2)) { paths in
            let few = try #require(throws: ImagingError.self) { try CTSeries.read(paths: paths) }
            #expect(few.message.contains("holds 2 slices"))
        }
    }

    private func position(of phantom: Phantom, _ k: Int) throws -> [Double] {
        let p = phantom.geometry.indexToPatient([0, 0, Double(k)])
        return [p.x, p.y, p.z]
    }

    private struct Spoil: Sendable, CustomTestStringConvertible {
        let name: String, code: ImagingError.Code, words: String
        let change: @Sendable (DataSet) throws -> Void
        var testDescription: String { name }
    }

    private static let spoils: [Spoil] = [
        .init(name: "patient ID", code: .inconsistent, words: "differ in PatientID (0010,0020)") { try $0.set(.patientID, "OTHER") },
        .init(name: "issuer", code: .inconsistent, words: "differ in IssuerOfPatientID (0010,0021)") { try $0.set(.issuerOfPatientID, "OTHER") },
        .init(name: "patient name", code: .inconsistent, words: "differ in PatientName (0010,0010)") { try $0.set(.patientName, "OTHER") },
        .init(name: "birth date", code: .inconsistent, words: "differ in PatientBirthDate (0010,0030)") { try $0.set(.patientBirthDate, "19710101") },
        .init(name: "no birth date", code: .inconsistent, words: "differ in PatientBirthDate (0010,0030)") { $0.remove(.patientBirthDate) },
        .init(name: "sex", code: .inconsistent, words: "differ in PatientSex (0010,0040)") { try $0.set(.patientSex, "F") },
        .init(name: "study", code: .inconsistent, words: "Study Instance UID") { try $0.set(.studyInstanceUID, "1.2.3") },
        .init(name: "frame of reference", code: .inconsistent, words: "Frame of Reference UID") { try $0.set(.frameOfReferenceUID, "1.2.3") },
        .init(name: "no position", code: .unreadable, words: "Image Position") { $0.remove(.imagePositionPatient) },
        .init(name: "two numbers of position", code: .unreadable, words: "Image Position") { try $0.set(.imagePositionPatient, [1, 2]) },
        .init(name: "no orientation", code: .unreadable, words: "Image Orientation") { $0.remove(.imageOrientationPatient) },
        .init(name: "crooked orientation", code: .unreadable, words: "right angle") { try $0.set(.imageOrientationPatient, [1, 0, 0, 0.1, 1, 0]) },
        .init(name: "null orientation", code: .unreadable, words: "right angle") { try $0.set(.imageOrientationPatient, [0, 0, 0, 0, 0, 0]) },
        .init(name: "no spacing", code: .unreadable, words: "Pixel Spacing") { $0.remove(.pixelSpacing) },
        .init(name: "a position out of this world", code: .unreadable, words: "Image Position") { try $0.set(.imagePositionPatient, [0, 1e300, 0]) },
        .init(name: "spacing without end", code: .unreadable, words: "Pixel Spacing") { try $0.set(.pixelSpacing, [1e-300, 1e-300]) },
        .init(name: "spacing of nothing", code: .unreadable, words: "Pixel Spacing") { try $0.set(.pixelSpacing, [0, 3]) },
        .init(name: "no frame of reference", code: .unreadable, words: "Frame of Reference") { $0.remove(.frameOfReferenceUID) },
        .init(name: "no slope", code: .unreadable, words: "Rescale Slope") { $0.remove(.rescaleSlope) },
        .init(name: "slope of nothing", code: .unreadable, words: "Rescale Slope") { try $0.set(.rescaleSlope, [0]) },
        .init(name: "unspecified units", code: .unsupported, words: "Rescale Type") { try $0.set(.rescaleType, "US") },
        .init(name: "modified units", code: .unsupported, words: "Rescale Type") { try $0.set(.rescaleType, "HU_MOD") },
        .init(name: "energies without a unit", code: .unsupported, words: "multi-energy") {
            $0.remove(.rescaleType)
            try $0.set(.multienergyCTAcquisition, "YES")
        },
        .init(name: "a palette", code: .unsupported, words: "MONOCHROME2") { try $0.set(.photometricInterpretation, "PALETTE COLOR") },
        .init(name: "no frames", code: .unsupported, words: "Number of Frames") { try $0.set(.numberOfFrames, "0") },
        .init(name: "twice the pixels", code: .unreadable, words: "longer") { try $0.set(.pixelData, bytes: [UInt8](repeating: 0, count: 16384)) },
        .init(name: "colour", code: .unsupported, words: "MONOCHROME2") { try $0.set(.samplesPerPixel, 3) },
        .init(name: "32 bits", code: .unsupported, words: "Bits Allocated") { try $0.set(.bitsAllocated, 32) },
        .init(name: "a high bit out of reach", code: .unreadable, words: "High Bit") { try $0.set(.highBit, 3) },
        .init(name: "a matrix without end", code: .unsupported, words: "65535") { try $0.set(.rows, 65535) },
        .init(name: "more rows than pixels", code: .unreadable, words: "Rows") { $0.remove(.rows) },
        .init(name: "frames", code: .unsupported, words: "Number of Frames") { try $0.set(.numberOfFrames, "2") },
        .init(name: "no pixels", code: .unreadable, words: "no pixel data") { $0.remove(.pixelData) },
        .init(name: "half the pixels", code: .unreadable, words: "shorter") { try $0.set(.pixelData, bytes: [UInt8](repeating: 0, count: 4096)) },
    ]

    @Test(arguments: spoils.indices) func oneSliceThatDiffersOrLacksSomethingIsNamed(_ n: Int) throws {
        let spoil = Self.spoils[n], phantom = Phantom(slices: 8)
        let error = try refusal(phantom) { slice, k in if k == 5 { try spoil.change(slice) } }
        #expect(error.code == spoil.code, "\(spoil.name): \(error)")
        #expect(error.message.contains(phantom.sopInstanceUID(5).string) && error.message.contains(spoil.words), "\(spoil.name): \(error)")
    }

    @Test func aSliceOfOtherMatrixSpacingOrDirectionIsNoneOfTheStack() throws {
        let changes: [(words: String, change: (DataSet) throws -> Void)] = [
            ("Pixel Spacing", { try $0.set(.pixelSpacing, [3, 3.01]) }), ("Image Orientation", { try $0.set(.imageOrientationPatient, [0, 1, 0, 1, 0, 0]) }),
            ("Rows or Columns", { try $0.set(.rows, 63) }),
        ]
        for (words, change) in changes {
            // In the middle it leaves a hole behind.
            let error = try refusal { slice, k in if k == 5 { try change(slice) } }
            #expect(error.code == .irregular && error.message.contains("slices are missing") && error.message.contains("other \(words)"), "\(error)")
            try withSeries(change: { slice, k in if k == 7 { try change(slice) } }) { paths in
                let series = try CTSeries.read(paths: paths)
                #expect(series.frames.count == 7 && series.warnings.count == 1 && series.warnings[0].contains("other \(words)"), "\(series.warnings)")
            }
        }
    }

    @Test func twoSeriesAreNotMixed() throws {
        try withSeries { first in
            try withSeries(Phantom(name: "other", slices: 8)) { second in
                let error = try #require(throws: ImagingError.self) { try CTSeries.read(paths: first + second) }
                #expect(error.code == .inconsistent && error.message.contains("Series Instance UID"))
            }
        }
        #expect(throws: ImagingError.self) { try CTSeries.read(paths: []) }
        #expect(throws: ImagingError.self) { try CTSeries.read(paths: [#filePath]) }
        #expect(throws: ImagingError.self) { try CTSeries.read(paths: ["/nonexistent"]) }
    }

    @Test func theGapCheckOfReceivedHeadersSaysWhatIsMissing() throws {
        let phantom = Phantom(columns: 4, rows: 4, slices: 9)
        let headers = try (0..<9).map { try SliceHeader(try phantom.slice($0)) }
        #expect(SliceStack.gap(in: headers.shuffled()) == nil)
        #expect(SliceStack.gap(in: headers + headers) == nil)
        #expect(SliceStack.gap(in: headers.enumerated().filter { $0.offset != 4 }.map(\.element))?.hasPrefix("slice spacing varies 5.0-10.0 mm (tolerance 0.1)") == true)
        #expect(SliceStack.gap(in: Array(headers.prefix(2)))?.contains("holds 2 slices") == true)
        #expect(SliceStack.gap(in: []) == nil)
        let copy = try JSONDecoder().decode([SliceHeader].self, from: try JSONEncoder().encode(headers))
        #expect(copy == headers)
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: Places.local.appending(path: "venv/bin/dciodvfy").path), "needs dciodvfy"))
    func thePhantomItselfIsASoundCTImage() throws {
        try withSeries { paths in
            let judge = try runTool(Places.local.appending(path: "venv/bin/dciodvfy").path, [paths[0]])
            #expect(!judge.output.contains("Error"), "\(judge.output)")
        }
    }
}
