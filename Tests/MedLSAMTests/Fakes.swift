import ImagingGeometry
import ModelRuntime

@testable import MedLSAM

/// A body of soft tissue in air, with a bright ball by which the fake networks find their way, and an organ beside it.
struct BallPhantom {
    static let ballRadiusMM = 9.0
    var ballLPS = SIMD3(0.0, 0, 0)
    /// The organ: an ellipsoid, not symmetric about the ball along any axis.
    var organOffsetMM = SIMD3(18.0, -12, 14), organRadiiMM = SIMD3(14.0, 10, 16)
    var organHU: Int16 = 200

    func isOrgan(_ p: SIMD3<Double>) -> Bool {
        let d = (p - ballLPS - organOffsetMM) / organRadiiMM
        return (d * d).sum() <= 1
    }

    func hounsfield(_ p: SIMD3<Double>) -> Int16 {
        let d = p - ballLPS
        if (d * d).sum() <= Self.ballRadiusMM * Self.ballRadiusMM { return 1500 }
        if isOrgan(p) { return organHU }
        return abs(d.x) < 50 && abs(d.y) < 45 && abs(d.z) < 48 ? 0 : -1000
    }

    func volume(on geometry: VolumeGeometry) -> Volume {
        Volume(geometry: geometry, voxels: geometry.positions.map(hounsfield))
    }

    func organ(on geometry: VolumeGeometry) -> Mask {
        Mask(geometry: geometry, voxels: geometry.positions.map { isOrgan($0) ? 1 : 0 })
    }

    /// A grid around the ball whose middle lies at it; `size` along its own axes.
    func grid(column: SIMD3<Double> = [1, 0, 0], row: SIMD3<Double> = [0, 1, 0], spacingMM: SIMD3<Double> = [3, 3, 3],
              size: SIMD3<Int> = [40, 40, 40]) -> VolumeGeometry {
        let centred = VolumeGeometry(size: size, spacingMM: spacingMM, originLPS: .zero, columnIndexDirection: column, rowIndexDirection: row)
        return VolumeGeometry(size: size, spacingMM: spacingMM, originLPS: ballLPS - centred.centreLPS,
                              columnIndexDirection: column, rowIndexDirection: row)
    }

    /// Axial, the two other planes, flipped ones and an oblique one.
    static let orientations: [(column: SIMD3<Double>, row: SIMD3<Double>)] = [
        ([1, 0, 0], [0, 1, 0]), ([1, 0, 0], [0, 0, -1]), ([0, 1, 0], [0, 0, -1]), ([-1, 0, 0], [0, 1, 0]), ([0, -1, 0], [0, 0, 1]),
        ([0.8, 0.6, 0], [-0.6, 0.8, 0]), ([1, 0, 0], [0, 0.96, 0.28]),
    ]
}

extension VolumeGeometry {
    var positions: [SIMD3<Double>] { (0..<count).map { indexToPatient(SIMD3<Double>(index(atOffset: $0))) } }
}

/// MedLAM as it should be: knows where a patch lies relative to the ball in it, and gives each voxel a vector of its own.
struct FakeMedLAM: Model {
    let withFeatures: Bool

    func callAsFunction(_ inputs: [String: Tensor]) throws -> [String: Tensor] {
        let values = inputs["patch"]!.values, edge = 64
        var sum = SIMD3<Double>.zero, weight = 0.0
        // Plain loops here and below: this runs in debug builds.
        values.withUnsafeBufferPointer { values in
            var offset = 0
            while offset < values.count {
                if values[offset] > 0.9 {
                    sum += SIMD3(Double(offset / (edge * edge)), Double(offset / edge % edge), Double(offset % edge))
                    weight += 1
                }
                offset &+= 1
            }
        }
        // (z, y, x) from the patch's middle to the ball, mm; an unseen ball is taken to be in the middle.
        let ball = weight > 0 ? sum / weight : SIMD3(repeating: 32)
        let latent = zip([0, 1, 2], [1500.0, 600, 600]).map { Float(-atanhOf((ball[$0] - 32) * 3 / $1)) }
        var answer = ["position": Tensor(shape: [1, 3], values: latent)]
        guard withFeatures else { return answer }
        for (level, shrink) in [4, 2, 1].enumerated() {
            let n = edge / shrink
            var map = [Float](repeating: 0, count: 4 * n * n * n)
            let count = n &* n &* n
            func offsets(_ axis: Int) -> [Double] { (0..<n).map { ((Double($0) + 0.5) * Double(shrink) - 0.5 - ball[axis]) * 3 } }
            let zs = offsets(0), ys = offsets(1), xs = offsets(2)
            map.withUnsafeMutableBufferPointer { map in
                var at = 0
                while at < count {
                    let z = zs[at / (n &* n)], y = ys[at / n % n], x = xs[at % n]
                    let scale = 1 / (x * x + y * y + z * z + 1600).squareRoot()
                    map[at] = Float(x * scale)
                    map[count &+ at] = Float(y * scale)
                    map[2 &* count &+ at] = Float(z * scale)
                    map[3 &* count &+ at] = Float(40 * scale)
                    at &+= 1
                }
            }
            answer["feature\(level)"] = Tensor(shape: [1, 4, n, n, n], values: map)
        }
        return answer
    }

    private func atanhOf(_ x: Double) -> Double { x + x * x * x / 3 }
}

/// Passes the image through as its embedding.
struct FakeEncoder: Model {
    func callAsFunction(_ inputs: [String: Tensor]) throws -> [String: Tensor] {
        let image = inputs["image"]!, edge = image.shape[2], step = edge / 256
        guard step > 1 else { return ["embedding": image] }
        // Of a larger image the first channel's every so many pixels.
        return ["embedding": Tensor(shape: [1, 1, 256, 256], values: (0..<65536).map { image.values[$0 / 256 * step * edge + $0 % 256 * step] })]
    }
}

/// Takes for the structure what is bright in the image and lies in the box, or, blind, the box without its padding.
struct FakeDecoder: Model {
    var isBlind = false
    /// Image pixels a pixel of its masks.
    var step: Float = 1

    func callAsFunction(_ inputs: [String: Tensor]) throws -> [String: Tensor] {
        let image = inputs["embedding"]!.values, boxes = inputs["boxes"]!.values.map { $0 / step }, count = boxes.count / 4
        let padding: Float = isBlind ? 5 : 0
        var logits = [Float](repeating: -10, count: count * 256 * 256)
        for n in 0..<count {
            for y in 0..<256 where Float(y) >= boxes[4 * n + 1] + padding && Float(y) <= boxes[4 * n + 3] - padding {
                for x in 0..<256 where Float(x) >= boxes[4 * n] + padding && Float(x) <= boxes[4 * n + 2] - padding {
                    if isBlind || image[y * 256 + x] > 0.7 { logits[(n * 256 + y) * 256 + x] = 10 }
                }
            }
        }
        return ["logits": Tensor(shape: [count, 1, 256, 256], values: logits), "iou": Tensor(shape: [count], values: Array(repeating: 0.9, count: count))]
    }
}

let fakeModels = fakes(medlamDigest: "fake")

func fakes(medlamDigest: String) -> ContouringModels {
    ContouringModels(digest: { $0 == .medlamHN ? medlamDigest : $0.rawValue }, structures: { _ in [] }) { network, graph in
        switch graph {
        case "position", "features": FakeMedLAM(withFeatures: graph == "features")
        case "encoder": FakeEncoder()
        default: FakeDecoder(step: network.isCalledOnceAtATime ? 4 : 1)
        }
    }
}

let organDefinition = StructureDefinition(name: "Organ", type: Code("91723000", "Anatomical Structure"), color: [255, 0, 0])

/// Two supports of the phantom, at different places and grids; made once.
func phantomTemplates() throws -> TemplateSet { try madeTemplates.get() }

private let madeTemplates = Result { () throws -> TemplateSet in
    let cases = [BallPhantom(ballLPS: [100, -40, 70]), BallPhantom(ballLPS: [-30, 10, 0])].enumerated().map { n, phantom in
        let grid = phantom.grid(spacingMM: n == 0 ? [3, 3, 3] : [2.5, 2.5, 4], size: n == 0 ? [40, 40, 40] : [48, 48, 30])
        return (volume: phantom.volume(on: grid), masks: ["Organ": phantom.organ(on: grid)])
    }
    return try TemplateBuilder(models: fakeModels).build(name: "phantom", version: 3, provenance: "made up", structures: [organDefinition], cases: cases,
                                                            localisers: [.registration, .medlamPublished])
}
