extension Mask {
    /// One piece of a mask: voxels that touch by their faces.
    public struct Component: Sendable {
        /// Positions of its voxels in storage order of the mask.
        public let offsets: [Int]
        /// Number of voxels.
        public var count: Int { offsets.count }
    }

    /// The mask's pieces (voxels joined by faces, 6-connected), largest first; of equal ones, the first in storage order.
    public func connectedComponents() -> [Component] {
        guard let box = boundingBox else { return [] }
        let size = geometry.size, strides = [1, size.x, size.x * size.y]
        var left = voxels
        var components: [Component] = []
        left.withUnsafeMutableBufferPointer { left in
            forEachOffset(in: box) { seed in
                var found: [Int] = [], next = 0
                func take(_ offset: Int) {
                    guard left[offset] != 0 else { return }
                    left[offset] = 0
                    found.append(offset)
                }
                take(seed)
                while next < found.count {
                    let offset = found[next], index = geometry.index(atOffset: offset)
                    next += 1
                    for axis in 0..<3 {
                        if index[axis] > 0 { take(offset - strides[axis]) }
                        if index[axis] + 1 < size[axis] { take(offset + strides[axis]) }
                    }
                }
                if !found.isEmpty { components.append(Component(offsets: found)) }
            }
        }
        return components.enumerated().sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }.map(\.element)
    }

    /// The mask that holds only the given pieces of this one.
    public func keeping(_ components: some Sequence<Component>) -> Mask {
        var result = Mask(empty: geometry)
        for component in components {
            for offset in component.offsets { result.voxels[offset] = 1 }
        }
        return result
    }

    /// The mask's largest piece alone.
    public func largestComponent() -> Mask { keeping(connectedComponents().prefix(1)) }

    /// The mask with its holes filled slice by slice: background that no path of faces in the slice joins to its border.
    public func fillingHolesPerSlice() -> Mask {
        guard let box = boundingBox else { return self }
        var result = self
        // A frame one pixel wider than the box, so that the outside is one piece.
        let width = box.size.x + 2, height = box.size.y + 2
        for k in box.lower.z...box.upper.z {
            var outside = [Bool](repeating: false, count: width * height)
            var stack = [0]
            outside[0] = true
            func isInside(_ x: Int, _ y: Int) -> Bool {
                x > 0 && y > 0 && x < width - 1 && y < height - 1
                    && voxels[geometry.offset([box.lower.x + x - 1, box.lower.y + y - 1, k])] != 0
            }
            while let at = stack.popLast() {
                let x = at % width, y = at / width
                for (nx, ny) in [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)]
                where nx >= 0 && ny >= 0 && nx < width && ny < height && !outside[ny * width + nx] && !isInside(nx, ny) {
                    outside[ny * width + nx] = true
                    stack.append(ny * width + nx)
                }
            }
            for y in 1..<height - 1 {
                for x in 1..<width - 1 where !outside[y * width + x] {
                    result.voxels[geometry.offset([box.lower.x + x - 1, box.lower.y + y - 1, k])] = 1
                }
            }
        }
        return result
    }
}
