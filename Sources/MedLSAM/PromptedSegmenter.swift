import Foundation
import ImagingGeometry
import ModelRuntime

/// Segments placed structures plane by plane with LiteMedSAM or a network of its kind, prompted with the supports' mean shape.
///
/// Planes lie across the patient's z axis, whatever the CT's orientation. Each is looked at once, zoomed to the union of
/// its structures' boxes, and every structure's box decoded from that one embedding.
struct PromptedSegmenter: StructureSegmenter {
    let encoder: any Model
    let decoder: any Model
    /// How the network's logits become a mask.
    let joining: Joining
    /// Edge of the network's image.
    var pixels = 256
    var threads = 1

    /// How the network's logits become a mask.
    enum Joining: Sendable {
        /// Outvoted by the mean shape and what intensities say of each structure.
        case withShapes([String: Contrast])
        /// As they are, near the structure: as published.
        case alone
    }

    /// Edge of the network's masks, which show the whole image.
    static let maskPixels = 256
    /// Window in HU that the network was trained on for soft tissue (level 40, width 400).
    static let windowHU = -160.0...240.0
    /// Space around the union of the boxes, and the smallest side of the square looked at, mm.
    static let marginMM = 20.0, smallestSideMM = 100.0
    /// Boxes are made larger by this share of the image's edge (helps, by measurement).
    static let boxPadding = 5.0 / 256
    /// Planes are at least so far apart: thinner slices are skipped, the network's answer interpolated between.
    static let planeStepMM = 2.5
    /// Step at which a shape's box in a plane is felt for, mm.
    static let boxStepMM = 2.0
    /// What the intensities' contrast and the network's logits are worth, in mm inside the mean shape. The network, not
    /// trained on CT organs, adds little: on validation Dice falls with more of it (0.60, 0.58, 0.56 at 0, 0.25, 0.5).
    static let contrastMM = 1.5, logitMM = 0.15
    /// The network's logits are limited to this, so that it can be outvoted.
    static let logitLimit: Float = 4

    /// Masks on the volume's own grid; none for a structure of which no plane shows anything.
    func segment(_ volume: Volume, _ working: WorkingVolume, _ structures: [String: PlacedStructure], progress: @escaping Progress) throws -> [String: SegmentedStructure] {
        let names = structures.keys.sorted()
        let heights = Self.heights(of: volume.geometry, covering: structures.values.map(\.bounds))
        let planes = try concurrentMap(heights, threads: threads, progress: progress) { z in
            let boxes = names.compactMap { name in Self.box(of: structures[name]!, z: z).map { (name, $0) } }
            return try Bounds(boxes.flatMap { [$0.1.low, $0.1.high] }).map { try plane(volume, z: z, around: $0, boxes: boxes) }
        }.compactMap { $0 }
        var result: [String: SegmentedStructure] = [:]
        for name in names { result[name] = joined(name, structures[name]!, planes, working, on: volume.geometry) }
        return result
    }

    // MARK: Planes

    /// Where to look: on the CT's own slices where these are across z, every so many that the step is kept.
    static func heights(of geometry: VolumeGeometry, covering boxes: [Bounds]) -> [Double] {
        guard let union = Bounds(boxes.flatMap { [$0.low, $0.high] }) else { return [] }
        let scan = Bounds(geometry)
        let low = max(union.low.z, scan.low.z), high = min(union.high.z, scan.high.z)
        let axial = abs(geometry.sliceIndexDirection.z) > 0.999
        let slice = axial ? geometry.spacingMM.z : planeStepMM
        // The slices half a plane step away still count as one step: 2.4 mm slices are not skipped.
        let step = slice * max(1, (planeStepMM / slice).rounded(.up))
        let first = scan.low.z + ((low - scan.low.z) / slice).rounded(.up) * slice
        return low > high ? [] : Array(stride(from: first, through: high, by: step))
    }

    /// The box of a shape in a plane, nil where the plane misses it.
    static func box(of structure: PlacedStructure, z: Double) -> Bounds? {
        let around = structure.bounds.expanded(byMM: SegmentedStructure.reachMM)
        guard z >= around.low.z, z <= around.high.z else { return nil }
        var inside: [SIMD3<Double>] = []
        for y in stride(from: around.low.y, through: around.high.y, by: boxStepMM) {
            for x in stride(from: around.low.x, through: around.high.x, by: boxStepMM) where structure.distance(at: [x, y, z]) > 0 {
                inside.append([x, y, z])
            }
        }
        return Bounds(inside).map { Bounds(low: $0.low - SIMD3(boxStepMM, boxStepMM, 0) / 2, high: $0.high + SIMD3(boxStepMM, boxStepMM, 0) / 2) }
    }

    /// Looks at one plane and decodes its boxes.
    private func plane(_ volume: Volume, z: Double, around union: Bounds, boxes: [(name: String, box: Bounds)]) throws -> Plane {
        let side = max(max(union.extent.x, union.extent.y) + 2 * Self.marginMM, Self.smallestSideMM)
        let grid = Self.grid(around: union.centre, z: z, side: side, pixels: pixels)
        let window = Self.windowHU
        let image = volume.resampled(to: grid, outside: Int16(window.lowerBound)).voxels.map {
            Float(min(max((Double($0) - window.lowerBound) / (window.upperBound - window.lowerBound), 0), 1))
        }
        guard let embedding = try encoder(["image": Tensor(shape: [1, 3, pixels, pixels], values: image + image + image)])["embedding"] else {
            throw MedLSAMError(.modelAnswerUnusable, "The encoder gave no embedding.")
        }
        let prompts = boxes.flatMap { _, box -> [Float] in
            let padding = Self.boxPadding * Double(pixels)
            let low = grid.patientToIndex(box.low) - padding, high = grid.patientToIndex(box.high) + padding
            return [Float(low.x), Float(low.y), Float(high.x), Float(high.y)]
        }
        let answer = try decoder(["embedding": embedding, "boxes": Tensor(shape: [boxes.count, 4], values: prompts)])
        let count = Self.maskPixels * Self.maskPixels
        guard let logits = answer["logits"]?.values, let iou = answer["iou"]?.values, logits.count == boxes.count * count, iou.count == boxes.count else {
            throw MedLSAMError(.modelAnswerUnusable, "The decoder gave no logits for \(boxes.count) boxes.")
        }
        var plane = Plane(grid: Self.grid(around: union.centre, z: z, side: side, pixels: Self.maskPixels))
        for (n, one) in boxes.enumerated() {
            plane.answers[one.name] = (Array(logits[n * count..<(n + 1) * count]), Double(iou[n]))
        }
        return plane
    }

    /// Square pixels, columns to Left and rows to Posterior, whose edges span `side` mm.
    private static func grid(around centre: SIMD3<Double>, z: Double, side: Double, pixels: Int) -> VolumeGeometry {
        let pixelMM = side / Double(pixels), half = (side - pixelMM) / 2
        return VolumeGeometry(size: [pixels, pixels, 1], spacingMM: [pixelMM, pixelMM, 1], originLPS: [centre.x - half, centre.y - half, z])
    }

    // MARK: Joining

    /// One structure's mask in one piece and without holes.
    private func joined(_ name: String, _ structure: PlacedStructure, _ planes: [Plane], _ working: WorkingVolume, on geometry: VolumeGeometry) -> SegmentedStructure? {
        let planes = planes.filter { $0.answers[name] != nil }
        guard !planes.isEmpty, let box = geometry.voxels(within: structure.bounds.expanded(byMM: SegmentedStructure.reachMM)) else { return nil }
        var both = 0, network = 0, shape = 0
        let reader = PlaneReader(name: name, planes: planes)
        let joined = SegmentedStructure.joined(box, on: geometry) { position in
            let distance = structure.distance(at: position)
            guard distance > -SegmentedStructure.reachMM, let logit = reader.logit(at: position) else { return nil }
            if logit > 0 { network += 1 }
            if distance > 0 { shape += 1 }
            if logit > 0 && distance > 0 { both += 1 }
            switch joining {
            case .alone: return Double(logit) * SegmentedStructure.softnessMM
            case .withShapes(let contrasts):
                let seen = contrasts[name]?.logRatio(working.intensity(at: position)) ?? 0
                return distance + Self.contrastMM * seen + Self.logitMM * Double(min(max(logit, -Self.logitLimit), Self.logitLimit))
            }
        }
        let iou = planes.reduce(0) { $0 + $1.answers[name]!.iou } / Double(planes.count)
        return joined.map {
            SegmentedStructure(mask: $0.mask, probabilities: $0.probabilities, predictedIoU: min(max(iou, 0), 1), agreement: 2 * Double(both) / Double(max(1, network + shape)))
        }
    }
}

/// What the network said of one plane.
private struct Plane {
    /// The network's masks: 256 x 256 x 1, columns to Left, rows to Posterior.
    let grid: VolumeGeometry
    /// Logits in the image's pixels and predicted overlap, by structure.
    var answers: [String: (logits: [Float], iou: Double)] = [:]

    /// The logit at a position's x and y; nil outside the image.
    func logit(_ name: String, at positionLPS: SIMD3<Double>) -> Float? {
        var index = grid.patientToIndex(positionLPS)
        index.z = 0
        guard all(index .>= -0.5), all(index .<= Double(PromptedSegmenter.maskPixels) - 0.5) else { return nil }
        return TrilinearSampler(size: grid.size, values: answers[name]!.logits[...]).value(at: index)
    }
}

/// One structure's logits between planes.
private struct PlaneReader {
    let name: String
    /// With an answer for the structure, from low z to high.
    let planes: [Plane]
    private let heights: [Double]
    private let reach: Double

    init(name: String, planes: [Plane]) {
        self.name = name
        self.planes = planes
        heights = planes.map(\.grid.originLPS.z)
        reach = zip(heights, heights.dropFirst()).map { $1 - $0 }.min() ?? PromptedSegmenter.planeStepMM
    }

    /// Linear between the planes on either side; nil beyond the last planes' own thickness.
    func logit(at positionLPS: SIMD3<Double>) -> Float? {
        let z = positionLPS.z
        guard z >= heights[0] - reach / 2 - 1e-3, z <= heights[heights.count - 1] + reach / 2 + 1e-3 else { return nil }
        let above = heights.firstIndex { $0 >= z } ?? heights.count - 1, below = max(0, above - 1)
        guard let high = planes[above].logit(name, at: positionLPS) else { return nil }
        guard heights[above] > z, below < above, let low = planes[below].logit(name, at: positionLPS) else { return high }
        let share = Float((z - heights[below]) / (heights[above] - heights[below]))
        return low + share * (high - low)
    }
}
