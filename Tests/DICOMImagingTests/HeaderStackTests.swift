import DICOMCore
@testable import DICOMImaging
import Foundation
import NodeTesting
import Testing

/// What stacks a series has by its headers alone, which is all that is known before it is read.
@Suite struct HeaderStackTests {
    private func headers(_ phantom: Phantom = Phantom(columns: 4, rows: 4, slices: 12), _ name: String = "", raisedMM: Double = 0, _ change: (DataSet, Int) throws -> Void = { _, _ in }) throws -> [SliceHeader] {
        try (0..<phantom.geometry.size.z).map { k in
            let slice = try phantom.slice(k), position = slice.doubles(.imagePositionPatient)
            if !name.isEmpty { try slice.set(.sopInstanceUID, UID.derived(from: [name, "\(k)"])) }
            try slice.set(.imagePositionPatient, [position[0], position[1], position[2] + raisedMM])
            try change(slice, k)
            return try SliceHeader(slice)
        }
    }

    @Test func theStackThatIsUsuallyReadComesFirst() throws {
        let thick = try headers(Phantom(columns: 4, rows: 4, slices: 12)) { slice, _ in try slice.set(.convolutionKernel, "A") }
        let thin = try headers(Phantom(columns: 4, rows: 4, slices: 23, spacingMM: [3, 3, 2.5]), "thin") { slice, _ in try slice.set(.convolutionKernel, "B") }
        #expect(HeaderStack.stacks(of: (thick + thin).shuffled()).map { $0.slices.count } == [23, 12])
        let holed = thin.enumerated().filter { $0.offset != 9 }.map(\.element)
        #expect(HeaderStack.stacks(of: thick + holed).map { $0.slices.count } == [12, 22], "whole before large")
        #expect(HeaderStack.stacks(of: []).isEmpty)
        #expect(HeaderStack.stacks(of: try headers { slice, _ in slice.remove(.imagePositionPatient) }).isEmpty)
    }

    @Test func twoRegionsInOneSeriesAreTwoStacksAndLostSlicesAreNot() throws {
        let head = try headers()
        func stacks(_ raisedMM: Double, _ change: (DataSet, Int) throws -> Void) throws -> [Int] {
            HeaderStack.stacks(of: head + (try headers(Phantom(columns: 4, rows: 4, slices: 8), "other", raisedMM: raisedMM, change))).map { $0.slices.count }
        }
        #expect(try stacks(400) { slice, _ in try slice.set(.acquisitionNumber, 2) } == [12, 8])
        #expect(try stacks(70) { slice, _ in try slice.set(.acquisitionNumber, 2) } == [20], "four slices may be lost")
        #expect(try stacks(400) { _, _ in } == [20], "nothing else says that it is another scan")
        #expect(try stacks(400) { slice, k in try slice.set(.acquisitionNumber, 2 + k) } == [20], "each slice its own number")
    }

    @Test func moreDirectionsThanAnyScanHasAreToldApart() throws {
        var many: [SliceHeader] = []
        for n in 0..<100 {
            let angle = Double(n) * 0.01, phantom = Phantom(
                columns: 4, rows: 4, slices: 3, columnIndexDirection: [cos(angle), sin(angle), 0], rowIndexDirection: [-sin(angle), cos(angle), 0])
            many += try headers(phantom, "direction \(n)")
        }
        #expect(HeaderStack.stacks(of: many.shuffled()).map { $0.slices.count } == [Int](repeating: 3, count: 100))
    }

    @Test func absurdPositionsAreNoCrash() throws {
        for value in ["1E308", "-1E308", "1E-320"] {
            let far = try headers { slice, k in try slice.set(.imagePositionPatient, "0\\0\\\(k % 2 == 0 ? value : "1")") }
            _ = HeaderStack.stacks(of: far)
            _ = SliceStack.gap(in: far)
            _ = SliceStack.places(of: far)
        }
    }
}
