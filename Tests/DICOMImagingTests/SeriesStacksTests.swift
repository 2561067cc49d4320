import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

/// What becomes of series that are not one even stack.
@Suite struct SeriesStacksTests {
    private static let phantom = Phantom(columns: 30, rows: 30, slices: 12, spacingMM: [6, 6, 4])

    /// Writes slices: each of the phantom's by its number and what is changed in it; hands over the files.
    private func withSlices<R>(_ slices: [(k: Int, change: (DataSet) throws -> Void)], _ body: ([String]) throws -> R) throws -> R {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let paths = try slices.enumerated().map { n, slice in
            let d = try Self.phantom.slice(slice.k), path = folder.appending(path: "\(n).dcm").path
            try d.set(.sopInstanceUID, "1.2.3.\(n + 1)")
            try slice.change(d)
            try d.write(to: path)
            return path
        }
        return try body(paths)
    }

    private static func place(_ d: DataSet, atMM height: Double) throws {
        let p = phantom.geometry.indexToPatient([0, 0, height / 4])
        try d.set(.imagePositionPatient, [p.x, p.y, p.z])
    }

    /// Makes a slice's pixels those of another scan.
    private static func brighten(_ d: DataSet) throws { try d.set(.rescaleIntercept, [-1000.0]) }

    private static var whole: [(k: Int, change: (DataSet) throws -> Void)] { all { _, _ in } }

    /// The whole phantom, changed throughout.
    private static func all(_ change: @escaping (DataSet, Int) throws -> Void) -> [(k: Int, change: (DataSet) throws -> Void)] {
        (0..<12).map { k in (k, { try change($0, k) }) }
    }

    private struct Mark: Sendable, CustomTestStringConvertible {
        let key: StackKey
        let tag: DICOMCore.Tag
        let values: [String]
        var testDescription: String { key.rawValue }

        /// By its text where the VR has any, else by its number.
        func set(_ n: Int, in d: DataSet) throws {
            do { try d.set(tag, values[n]) } catch { try d.set(tag, [#require(Double(values[n]))]) }
        }
    }

    private static let marks: [Mark] = [
        .init(key: .imageType, tag: .imageType, values: [#"ORIGINAL\PRIMARY\AXIAL"#, #"DERIVED\SECONDARY\AXIAL"#]),
        .init(key: .temporalPosition, tag: .temporalPositionIdentifier, values: ["9", "10"]),
        .init(key: .temporalOffset, tag: .temporalPositionTimeOffset, values: ["0.5", "12"]),
        .init(key: .respiratoryPhase, tag: .nominalPercentageOfRespiratoryPhase, values: ["0", "50"]),
        .init(key: .triggerTime, tag: .triggerTime, values: ["120", "680"]),
        .init(key: .convolutionKernel, tag: .convolutionKernel, values: ["B31f", "B70f"]),
        .init(key: .sliceThickness, tag: .sliceThickness, values: ["4", "8"]),
        .init(key: .acquisitionNumber, tag: .acquisitionNumber, values: ["2", "3"]),
        .init(key: .contrastBolusAgent, tag: .contrastBolusAgent, values: ["", "IOMERON"]),
        .init(key: .contrastBolusAgentPhase, tag: .contrastBolusAgentPhase, values: ["ARTERIAL", "VENOUS"]),
        .init(key: .kvp, tag: .kvp, values: ["80", "140"]),
        .init(key: .reconstructionDiameter, tag: .reconstructionDiameter, values: ["180", "500"]),
    ]

    @Test(arguments: marks.indices) func stacksAtOnePlaceAreToldApartByWhatDiffers(_ n: Int) throws {
        let mark = Self.marks[n]
        let slices = Self.all { d, _ in try mark.set(0, in: d) } + Self.all { d, _ in try mark.set(1, in: d); try Self.brighten(d) }.dropLast(2)
        try withSlices(slices) { paths in
            let stacks = try CTSeries.stacks(paths: paths.shuffled())
            #expect(stacks.stacks.map(\.headers.count) == [12, 10] || stacks.stacks.map(\.headers.count) == [10, 12], "\(stacks.stacks.map(\.summary))")
            #expect(stacks.stacks.allSatisfy { $0.refusal == nil && $0.distinction.contains(mark.key.rawValue) }, "\(stacks.stacks.map(\.summary))")
            let series = try CTSeries.read(paths: paths)
            #expect(series.volume.voxels == Self.phantom.volume().voxels)
            #expect(series.warnings.count == 1 && series.warnings[0].contains("10 slices left out: \(mark.key.rawValue)"), "\(series.warnings)")
            // A rule may choose the other.
            let other = try stacks.series(1 - stacks.usual)
            #expect(other.frames.count == 10 && other.volume.voxels[0] == -976 && other.warnings.count == 1)
        }
    }

    @Test func phasesOfTwoKernelsAreFourStacksInTheOrderOfTime() throws {
        let slices = [("B31f", "9"), ("B70f", "9"), ("B31f", "10"), ("B70f", "10")].flatMap { kernel, phase in
            Self.all { d, _ in try d.set(.convolutionKernel, kernel); try d.set(.temporalPositionIdentifier, phase); try Self.brighten(d) }
        }
        try withSlices(slices) { paths in
            let stacks = try CTSeries.stacks(paths: paths)
            #expect(stacks.stacks.map(\.distinction) == ["9", "9", "10", "10"].enumerated().map {
                "Temporal Position Identifier \($1), Convolution Kernel \($0 % 2 == 0 ? "B31f" : "B70f")"
            })
            #expect(stacks.usual == 0)
        }
    }

    @Test func interleavedReconstructionsOfDifferentStepAreSplitAndTheOneOfMostSlicesIsTaken() throws {
        let thick = Self.all { d, k in try Self.place(d, atMM: Double(k) * 4); try d.set(.convolutionKernel, "B31f") }
        let thin = (0..<30).map { n in (k: 0, change: { (d: DataSet) throws in try Self.place(d, atMM: 0.6 + Double(n) * 1.25); try d.set(.convolutionKernel, "B70f") }) }
        try withSlices(thick + thin) { paths in
            let stacks = try CTSeries.stacks(paths: paths)
            #expect(stacks.stacks.map(\.summary) == ["Convolution Kernel B31f: 12 slices every 4.0 mm", "Convolution Kernel B70f: 30 slices every 1.25 mm"])
            #expect(stacks.usual == 1)
        }
    }

    @Test func anEvenStackWhoseAttributesChangeIsNotTornApart() throws {
        let changes: [(DataSet, Int) throws -> Void] = [
            { try $0.set(.imageType, $1 < 6 ? #"ORIGINAL\PRIMARY\AXIAL\ADD"# : #"ORIGINAL\PRIMARY\AXIAL"#) },
            { try $0.set(.acquisitionNumber, "\($1 / 2)") }, { try $0.set(.acquisitionNumber, "\($1)") }, { try $0.set(.triggerTime, "\($1 * 7 % 5)") },
            { try $0.set(.convolutionKernel, $1 == 4 ? "B70f" : "B31f") },
        ]
        for change in changes {
            try withSlices(Self.all(change)) { paths in
                let series = try CTSeries.read(paths: paths)
                #expect(series.frames.count == 12 && series.warnings.isEmpty)
            }
        }
    }

    @Test func aCopyOfASliceIsLeftOutAndAnotherAtItsPlaceRefused() throws {
        try withSlices(Self.whole + [(5, { _ in })]) { paths in
            let series = try CTSeries.read(paths: paths)
            #expect(series.frames.count == 12 && series.volume.voxels == Self.phantom.volume().voxels)
            #expect(series.warnings.count == 1 && series.warnings[0].contains("the same pixels at the same place"), "\(series.warnings)")
            // The same instance in two files.
            let again = try CTSeries.read(paths: paths + [paths[3]])
            #expect(again.frames.count == 12 && again.warnings.count == 2)
        }
        try withSlices(Self.whole + [(5, Self.brighten)]) { paths in
            let error = try #require(throws: ImagingError.self) { try CTSeries.read(paths: paths) }
            #expect(error.code == .irregular && error.message.contains("instance 1.2.3.6 and instance 1.2.3.13 lie at the same position and differ"), "\(error)")
        }
        try withSlices(Self.whole + [(5, { try Self.brighten($0); try $0.set(.sopInstanceUID, "1.2.3.6") })]) { paths in
            let error = try #require(throws: ImagingError.self) { try CTSeries.read(paths: paths) }
            #expect(error.code == .inconsistent && error.message.contains("two files hold different images as instance 1.2.3.6"), "\(error)")
        }
    }

    @Test func missingSlicesAreToldFromPlannedChangesOfTheDistance() {
        func irregularity(_ steps: [Double]) -> String? { Steps(steps.reduce(into: [0.0]) { $0.append($0.last! + $1) }).irregularity }
        func run(_ step: Double, _ count: Int) -> [Double] { Array(repeating: step, count: count) }
        // One slice, two in a row, at an end, every other one for a while, one of thin slices.
        let holes: [[[Double]]] = [
            [run(3, 9), [6], run(3, 9)], [run(3, 9), [9], run(3, 9)], [run(3, 9), [6]], [[6], run(3, 9)], [run(3, 5), [6, 6, 6], run(3, 5)],
            [[3, 6, 3, 6, 3, 6, 3]], [run(0.3, 20), [0.6], run(0.3, 20)], [[3, 4]], [run(3, 9), [7.5], run(4, 9)],
        ]
        for steps in holes.map({ Array($0.joined()) }) {
            #expect(irregularity(steps)?.contains("slices are missing") == true, "\(steps)")
        }
        // Two and three blocks, with a narrow or middling joint, overlapping by less than a step.
        let planned: [[[Double]]] = [
            [run(4, 13), [1.1], run(7, 13)], [run(3, 4), run(5, 4)], [run(3, 9), [4], run(5, 9)], [run(2, 9), run(5, 9), run(10, 9)],
            [run(3, 9), [0.5], run(3, 9)],
        ]
        for steps in planned.map({ Array($0.joined()) }) {
            #expect(irregularity(steps) == nil, "\(steps)")
        }
        #expect(irregularity(Array((0..<6).map { run([2, 3][$0 % 2], 5) }.joined())) == "slice spacing varies 2.0-3.0 mm (tolerance 0.1) more often than a plan would")
        // One decimal in the positions.
        #expect(Steps((0..<100).map { (Double($0) * 12.5).rounded() / 10 }).irregularity == nil)
        var height = 0.0
        let rounded = (run(1.25, 20) + run(2.75, 20)).map { step -> Double in
            height += step
            return (height * 10).rounded() / 10
        }
        #expect(Steps(rounded).irregularity == nil)
    }

    @Test func whileSlicesArriveAChangeOfDistanceCountsAsPlannedOnlyWithTheThickness() throws {
        func headers(_ thickness: (Int) -> Double) throws -> [SliceHeader] {
            try (0..<12).map { k in
                let d = try Self.phantom.slice(k)
                try Self.place(d, atMM: k < 6 ? Double(k) * 3 : 15 + Double(k - 5) * 6)
                try d.set(.sliceThickness, [thickness(k)])
                return try SliceHeader(d)
            }
        }
        #expect(SliceStack.gap(in: try headers { $0 < 6 ? 3 : 6 }.shuffled()) == nil)
        #expect(SliceStack.gap(in: try headers { _ in 3 })?.contains("slices may be missing") == true)
        // A hole is told whatever the thickness says.
        var holed = try headers { $0 < 6 ? 3 : 6 }
        holed.remove(at: 9)
        #expect(SliceStack.gap(in: holed)?.contains("slices are missing") == true)
        // Two phases, one of which lacks a slice.
        var phases = try [1, 2].flatMap { phase in
            try (0..<12).map { k in
                let d = try Self.phantom.slice(k)
                try d.set(.temporalPositionIdentifier, "\(phase)")
                return try SliceHeader(d)
            }
        }
        #expect(SliceStack.gap(in: phases) == nil)
        phases.remove(at: 17)
        #expect(SliceStack.gap(in: phases)?.contains("slices are missing") == true)
    }

    @Test(arguments: [(64, 3), (2048, 3), (64, 400)]) func smallAndLargeStacksAreRead(matrix: Int, slices: Int) throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let d = try Self.phantom.slice(0), plane = matrix * matrix
        try d.set(.rows, matrix)
        try d.set(.columns, matrix)
        try d.set(.pixelData, bytes: [UInt8](repeating: 4, count: 2 * plane))
        let paths = try (0..<slices).map { k in
            try d.set(.sopInstanceUID, "1.2.3.\(k + 1)")
            try Self.place(d, atMM: Double(k) * 1.5)
            try d.write(to: folder.appending(path: "\(k).dcm").path)
            return folder.appending(path: "\(k).dcm").path
        }
        let series = try CTSeries.read(paths: paths.shuffled())
        #expect(series.grid.working.size == [matrix, matrix, slices] && series.frames.map(\.instance.path) == paths)
        #expect(series.volume.voxels.allSatisfy { $0 == 0x0404 - 1024 })
    }
}
