import ImagingGeometry
import NodeTesting
import Testing

/// Slices at any distances and shifts, their working grid, and what is carried between the two.
@Suite struct SourceGridTests {
    /// A random right-angled pair of unit vectors.
    private func directions(_ random: inout Seeded) -> (SIMD3<Double>, SIMD3<Double>) {
        func vector() -> SIMD3<Double> { [.random(in: -1...1, using: &random), .random(in: -1...1, using: &random), .random(in: -1...1, using: &random)] }
        func unit(_ v: SIMD3<Double>) -> SIMD3<Double> { v / (v * v).sum().squareRoot() }
        let a = unit(vector() + [1e-3, 0, 0]), b = vector()
        return (a, unit(b - a * (a * b).sum()))
    }

    /// Slices in a random direction: upright or tilted, evenly or unevenly spaced.
    private func grid(_ random: inout Seeded, columns: Int = 24, rows: Int = 20, tilted: Bool, even: Bool) throws -> SourceGrid {
        let (a, b) = directions(&random)
        let normal = VolumeGeometry(size: .one, spacingMM: .one, originLPS: .zero, columnIndexDirection: a, rowIndexDirection: b).sliceIndexDirection
        let tilt = tilted ? SIMD2(Double.random(in: -0.5...0.5, using: &random), .random(in: -0.5...0.5, using: &random)) : .zero
        let origin = SIMD3<Double>(repeating: .random(in: -500...500, using: &random)), step = Double.random(in: 0.5...5, using: &random)
        var height = 0.0
        let origins = (0..<17).map { _ in
            defer { height += even ? step : step * .random(in: 0.5...2, using: &random) }
            return origin + height * (normal + tilt.x * a + tilt.y * b)
        }
        return try #require(SourceGrid(columns: columns, rows: rows, pixelSpacingMM: [.random(in: 0.3...2, using: &random), .random(in: 0.3...2, using: &random)],
                                       columnIndexDirection: a, rowIndexDirection: b, originsLPS: origins))
    }

    /// A value that is linear in space: interpolation must give it back exactly.
    private func ramp(_ p: SIMD3<Double>) -> Double { (p * [3, -2, 5]).sum() }

    @Test func everyPixelsPositionLeadsBackToIt() throws {
        var random = Seeded(1)
        for n in 0..<200 {
            let grid = try grid(&random, tilted: n % 2 == 0, even: n % 3 == 0)
            for _ in 0..<20 {
                let slice = Int.random(in: 0..<grid.slices, using: &random)
                let pixel = SIMD2(Double.random(in: -5...30, using: &random), .random(in: -5...30, using: &random))
                let position = grid.pixelToPatient(pixel, slice: slice), back = grid.patientToPixel(position, slice: slice)
                #expect(((back - pixel) * grid.pixelSpacingMM).max().magnitude < 1e-3)
                // The same point by way of the working grid.
                let again = grid.working.indexToPatient(grid.working.patientToIndex(position))
                #expect(max((again - position).max(), (position - again).max()) < 1e-3)
                #expect((grid.heightMM(position) - grid.heightMM(grid.originsLPS[slice])).magnitude < 1e-9)
            }
        }
    }

    @Test func anEvenUprightStackIsItsOwnWorkingGrid() throws {
        var random = Seeded(2)
        for _ in 0..<50 {
            let grid = try grid(&random, tilted: false, even: true)
            #expect(grid.isRegular && grid.working.size == [24, 20, 17] && grid.working.originLPS == grid.originsLPS[0])
            let voxels = (0..<grid.count).map { _ in Int16.random(in: -1024...3000, using: &random) }
            #expect(grid.volume(voxels, outside: -1024).voxels == voxels)
            let mask = Mask(geometry: grid.working, voxels: voxels.map { $0 > 0 ? 1 : 0 })
            #expect(grid.sourceMask(mask).voxels == mask.voxels && grid.workingMask(grid.sourceMask(mask)).voxels == mask.voxels)
            #expect((grid.sourceMask(mask).volumeML - mask.volumeML).magnitude < 1e-9 * mask.volumeML)
        }
    }

    @Test func aVolumeIsResampledWithTheSlicesTruePositions() throws {
        var random = Seeded(3)
        for n in 0..<12 {
            let grid = try grid(&random, tilted: n % 3 != 0, even: n % 3 == 1)
            #expect(!grid.isRegular)
            let middle = grid.working.centreLPS
            var voxels: [Int16] = []
            for slice in 0..<grid.slices { for j in 0..<grid.rows { for i in 0..<grid.columns {
                voxels.append(Int16(ramp(grid.pixelToPatient([Double(i), Double(j)], slice: slice) - middle).rounded()))
            } } }
            let volume = grid.volume(voxels, outside: -9999)
            var inside = 0, worst = 0.0
            for offset in 0..<volume.geometry.count where volume.voxels[offset] != -9999 {
                let index = SIMD3<Double>(volume.geometry.index(atOffset: offset)), position = volume.geometry.indexToPatient(index)
                // At the rim one slice stands for two, or a pixel for its outer half.
                let height = grid.heightMM(position) - 1e-9, above = (1..<grid.slices).first { grid.heightMM(grid.originsLPS[$0]) >= height }!
                let pixels = [above - 1, above].map { grid.patientToPixel(position, slice: $0) }
                guard pixels.allSatisfy({ $0.min() >= 0 && $0.x <= 23 && $0.y <= 19 }) else { continue }
                inside += 1
                worst = max(worst, (Double(volume.voxels[offset]) - ramp(position - middle)).magnitude)
            }
            // Both the slices' values and the result are rounded.
            #expect(worst <= 1.01)
            #expect(inside > 500)
        }
    }

    @Test func probabilitiesComeOntoTheSlicesWithTheMaskAtTheirHalf() throws {
        var random = Seeded(5)
        for n in 0..<12 {
            let grid = try grid(&random, tilted: n % 3 != 0, even: n % 3 == 1), working = grid.working
            // Falls evenly from the middle outwards along one direction, so that interpolation must give it back; 0 beyond a box.
            let middle = working.centreLPS, fall = 100 / (working.extentMM * working.extentMM).sum().squareRoot()
            func likely(_ p: SIMD3<Double>) -> Double { 128 + ramp(p - middle) / 38.0.squareRoot() * fall }
            let map = ProbabilityMap(geometry: working, voxels: (0..<working.count).map {
                let index = working.index(atOffset: $0)
                return index.x < working.size.x / 4 ? 0 : UInt8(likely(working.indexToPatient(SIMD3<Double>(index))).rounded())
            })
            #expect(map.voxels.box.lower.x == working.size.x / 4)
            let mask = grid.sourceMask(Mask(geometry: working, voxels: (0..<working.size.z).flatMap { map.voxels.plane($0).map { $0 >= 128 ? 1 : 0 } }))
            let found = grid.sourceProbabilities(map, of: mask)
            var compared = 0
            for slice in 0..<grid.slices {
                let pixels = found.pixels(ofSlice: slice)
                #expect(pixels.map { $0 >= ProbabilityMap.inside ? 1 : 0 } == Array(mask.voxels[mask.range(ofSlice: slice)]))
                for (n, value) in pixels.enumerated() {
                    let position = grid.pixelToPatient([Double(n % grid.columns), Double(n / grid.columns)], slice: slice), index = working.patientToIndex(position)
                    guard index.x > Double(working.size.x / 4 + 1), index.min() >= 1, all(index .<= SIMD3<Double>(working.size &- 2)) else { continue }
                    compared += 1
                    // Both the map's values and the result are rounded; at the half the mask decides.
                    #expect((Double(value) - likely(position)).magnitude <= 2.01)
                }
            }
            #expect(compared > 500)
        }
    }

    @Test func aMaskComesBackOntoTheSlicesInPlaceAndInSize() throws {
        var random = Seeded(4)
        for n in 0..<9 {
            let grid = try grid(&random, columns: 60, rows: 50, tilted: n % 3 != 0, even: n % 3 == 1)
            let middle = grid.pixelToPatient([30, 25], slice: 8), radius = 0.3 * min(60 * grid.pixelSpacingMM.x, 50 * grid.pixelSpacingMM.y, 2 * grid.heightMM(grid.originsLPS[16]))
            func isInside(_ p: SIMD3<Double>) -> Bool { ((p - middle) * (p - middle)).sum() <= radius * radius }
            let mask = Mask(geometry: grid.working, voxels: (0..<grid.working.count).map {
                isInside(grid.working.indexToPatient(SIMD3<Double>(grid.working.index(atOffset: $0)))) ? 1 : 0
            })
            let back = grid.sourceMask(mask)
            // No pixel is off by more than the grids' own steps.
            let step = SIMD3(grid.pixelSpacingMM.x, grid.pixelSpacingMM.y, grid.working.spacingMM.z), reach = (step * step).sum().squareRoot()
            var misplaced = 0
            for slice in 0..<grid.slices { for j in 0..<grid.rows { for i in 0..<grid.columns {
                let p = grid.pixelToPatient([Double(i), Double(j)], slice: slice) - middle, distance = (p * p).sum().squareRoot() - radius
                let value = back.voxels[(slice * grid.rows + j) * grid.columns + i]
                if distance.magnitude >= reach, (value == 1) != (distance < 0) { misplaced += 1 }
            } } }
            #expect(misplaced == 0)
            #expect((back.volumeML / mask.volumeML - 1).magnitude < 0.1, "\(back.volumeML) of \(mask.volumeML) ml")
            #expect((grid.workingMask(back).dice(mask) ?? 0) > 0.8)
        }
    }

    @Test func aPureTiltKeepsEveryPixelsCount() throws {
        // Slices of a tilted gantry: even, each shifted by a fraction of a pixel against the one below.
        let origins = (0..<12).map { SIMD3(0, Double($0) * 1.3, Double($0) * 4) }
        let grid = try #require(SourceGrid(columns: 30, rows: 30, pixelSpacingMM: [1, 1], columnIndexDirection: [1, 0, 0], rowIndexDirection: [0, 1, 0], originsLPS: origins))
        #expect(grid.working.size == [30, 45, 12] && grid.working.spacingMM == [1, 1, 4])
        var mask = Mask(empty: grid.working)
        for k in 0..<12 { for j in 15..<25 { for i in 3..<9 { mask.voxels[mask.geometry.offset([i, j, k])] = 1 } } }
        let back = grid.sourceMask(mask)
        #expect((0..<12).allSatisfy { slice in back.voxels[back.range(ofSlice: slice)].reduce(0) { $0 + Int($1) } == 60 })
        #expect((back.volumeML - mask.volumeML).magnitude < 1e-9)
    }

    @Test func volumesCountEachSliceAsThickAsItStandsFor() throws {
        let origins: [SIMD3<Double>] = [0, 2, 4, 9, 14].map { [0, 0, $0] }
        let grid = try #require(SourceGrid(columns: 2, rows: 1, pixelSpacingMM: [1, 1], columnIndexDirection: [1, 0, 0], rowIndexDirection: [0, 1, 0], originsLPS: origins))
        #expect(grid.thicknessesMM == [2, 2, 3.5, 5, 5] && !grid.isRegular)
        let mask = SourceMask(grid: grid, voxels: [1, 0, 1, 1, 0, 0, 1, 0, 0, 1])
        #expect((mask.volumeML - (2 + 2 * 2 + 5 + 5) / 1000).magnitude < 1e-12)
    }

    @Test func whatIsNoStackHasNoGrid() {
        func grid(_ origins: [SIMD3<Double>], spacing: SIMD2<Double> = [1, 1], a: SIMD3<Double> = [1, 0, 0]) -> SourceGrid? {
            SourceGrid(columns: 4, rows: 4, pixelSpacingMM: spacing, columnIndexDirection: a, rowIndexDirection: [0, 1, 0], originsLPS: origins)
        }
        #expect(grid([.zero, [0, 0, 1]]) != nil)
        #expect(grid([.zero]) == nil && grid([.zero, .zero]) == nil && grid([[0, 0, 1], .zero]) == nil)
        #expect(grid([.zero, [0, .nan, 1]]) == nil && grid([.zero, [0, 0, .infinity]]) == nil && grid([.zero, [0, 1e300, 1]]) == nil)
        #expect(grid([.zero, [0, 0, 1]], spacing: [0, 1]) == nil && grid([.zero, [0, 0, 1]], spacing: [.nan, 1]) == nil)
        #expect(grid([.zero, [0, 0, 1]], a: [1, 0.1, 0]) == nil && grid([.zero, [0, 0, 1]], a: [.nan, 0, 0]) == nil)
    }
}
