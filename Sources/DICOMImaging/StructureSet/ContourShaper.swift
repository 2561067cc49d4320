import ImagingGeometry

/// Makes one structure's contours by the options: islands, holes, simplification, limits.
struct ContourShaper {
    /// What was done that a reader of the object should know.
    struct Account: Equatable {
        var islandsLeftOut = 0, split = 0
        /// Contours that rounding leaves less than three points of.
        var tooSmall = 0
        /// Contours whose tolerance a limit raised, and the highest it was raised to.
        var raised = 0, highestToleranceMM = 0.0
    }

    let field: ContourField
    let options: StructureSetOptions
    /// Points are left out only within this distance.
    let toleranceMM: Double
    private(set) var account = Account()
    /// Whether a contour is a hole of another that is told apart from it.
    private(set) var hasSeparateHoles = false

    init(_ field: ContourField, _ options: StructureSetOptions) {
        (self.field, self.options) = (field, options)
        toleranceMM = Self.toleranceMM(options, isSubpixel: field.isSubpixel, spacingMM: field.grid.pixelSpacingMM)
    }

    static func toleranceMM(_ options: StructureSetOptions, isSubpixel: Bool, spacingMM: SIMD2<Double>) -> Double {
        options.toleranceMM ?? (isSubpixel ? spacingMM.min() / 10 : Contours.harmlessToleranceMM(spacingMM: spacingMM))
    }

    /// The contours of a slice; none where the structure is not on it.
    mutating func contours(slice: Int) -> [ContourText] {
        guard var plane = field.plane(slice) else { return [] }
        if options.holes == .ignore { plane.fillHoles() }
        var rings = plane.rings()
        if options.smallestIslandMM2 > 0 {
            let pixelMM2 = field.grid.pixelSpacingMM.x * field.grid.pixelSpacingMM.y
            let islands = rings.filter { !$0.isHole && $0.signedArea * pixelMM2 < options.smallestIslandMM2 }
            for island in islands { plane.remove(regionAlong: island) }
            account.islandsLeftOut += islands.count
            rings = islands.isEmpty ? rings : plane.rings()
        }
        let traced = Contours.regions(rings)
        var drawn = simplified(traced)
        return traced.indices.flatMap { n -> [ContourText] in
            let texts = texts(drawn[n], slice)
            if fits(texts) {
                account.tooSmall += max(0, (options.holes == .keyhole ? 1 : drawn[n].rings.count) - texts.count)
                return texts
            }
            if options.atLimit == .simplify, let texts = raised(traced[n], among: &drawn, at: n, slice) { return texts }
            account.split += 1
            return parts(of: traced[n], on: plane, cuts: [], slice)
        }
    }

    // MARK: - Simplification

    /// The regions with fewer points. A tolerance under which rings would touch each other or change sides is halved until they do not.
    private func simplified(_ regions: [ContourRegion], cuts: [ContourCut] = []) -> [ContourRegion] {
        var toleranceMM = toleranceMM
        while true {
            // Below a thousandth of a millimetre there is nothing to win.
            if toleranceMM < 1e-3 { toleranceMM = 0 }
            if let found = simplified(regions, toleranceMM, cuts), toleranceMM == 0 || isHarmless(toleranceMM) || Contours.areApart(found.flatMap(\.rings)) {
                return found
            }
            toleranceMM /= 2
        }
    }

    private func isHarmless(_ toleranceMM: Double) -> Bool {
        !field.isSubpixel && toleranceMM <= Contours.harmlessToleranceMM(spacingMM: field.grid.pixelSpacingMM)
    }

    /// Nil where a ring would vanish.
    private func simplified(_ regions: [ContourRegion], _ toleranceMM: Double, _ cuts: [ContourCut]) -> [ContourRegion]? {
        var found: [ContourRegion] = []
        for region in regions {
            let rings = Contours.simplified(region.rings, toleranceMM: toleranceMM, spacingMM: field.grid.pixelSpacingMM, cuts: cuts)
            guard rings.count == region.rings.count else { return nil }
            found.append(ContourRegion(outer: rings[0], holes: Array(rings.dropFirst())))
        }
        return found
    }

    // MARK: - Limits

    /// What a region is written as: joined by keyholes, or ring by ring.
    private mutating func texts(_ region: ContourRegion, _ slice: Int) -> [ContourText] {
        if options.holes != .keyhole, !region.holes.isEmpty { hasSeparateHoles = true }
        return (options.holes == .keyhole ? [Contours.keyholed(region)] : region.rings).compactMap {
            ContourText($0, slice: slice, grid: field.grid, decimals: options.decimals)
        }
    }

    private func fits(_ texts: [ContourText]) -> Bool {
        texts.allSatisfy { $0.points <= options.maximumPoints ?? .max && $0.bytes.count <= options.maximumContourBytes ?? .max }
    }

    /// How much more tolerance each attempt to keep a limit takes.
    private static let raise = 1.25

    /// A region at the least tolerance that keeps the limits; nil where none does up to the largest, or would make rings touch.
    private mutating func raised(_ region: ContourRegion, among drawn: inout [ContourRegion], at n: Int, _ slice: Int) -> [ContourText]? {
        var toleranceMM = max(toleranceMM, field.grid.pixelSpacingMM.min() / 10) * Self.raise
        while toleranceMM <= options.largestToleranceMM {
            if let found = simplified([region], toleranceMM, [])?.first {
                let texts = texts(found, slice)
                var all = drawn
                all[n] = found
                if fits(texts), Contours.areApart(all.flatMap(\.rings)) {
                    drawn = all
                    account.raised += 1
                    account.highestToleranceMM = max(account.highestToleranceMM, toleranceMM)
                    return texts
                }
            }
            toleranceMM *= Self.raise
        }
        return nil
    }

    /// A region in two halves, and those again, until each part keeps the limits; a single pixel keeps any.
    private mutating func parts(of region: ContourRegion, on plane: ContourPlane, cuts: [ContourCut], _ slice: Int) -> [ContourText] {
        guard let (halves, cut) = plane.halves(ofRegionAlong: region.outer) else { return texts(region, slice) }
        let cuts = cuts + [cut]
        return halves.flatMap { half -> [ContourText] in
            Contours.regions(half.rings()).flatMap { part -> [ContourText] in
                let texts = texts(simplified([part], cuts: cuts)[0], slice)
                return fits(texts) ? texts : parts(of: part, on: half, cuts: cuts, slice)
            }
        }
    }
}
