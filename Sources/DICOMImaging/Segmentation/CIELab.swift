import Foundation

/// An sRGB colour as DICOM's three CIELab words (PS3.3 C.10.7.1.1): L* of 0...100 on 0...65535, a* and b* of -128...127 likewise.
///
/// The white point is the ICC profile connection space's D50: sRGB's matrix (IEC 61966-2-1) after Bradford adaptation (ICC.1).
func cieLab(_ color: SIMD3<UInt8>) -> [Int] {
    let rgb = SIMD3(linear(color.x), linear(color.y), linear(color.z))
    let x = lightness((rgb * [0.4360747, 0.3850649, 0.1430804]).sum() / 0.9642)
    let y = lightness((rgb * [0.2225045, 0.7168786, 0.0606169]).sum())
    let z = lightness((rgb * [0.0139322, 0.0971045, 0.7141733]).sum() / 0.8249)
    let parts = [(116 * y - 16) / 100, (500 * (x - y) + 128) / 255, (200 * (y - z) + 128) / 255]
    return parts.map { Int((65535 * min(1, max(0, $0))).rounded()) }
}

private func linear(_ byte: UInt8) -> Double {
    let value = Double(byte) / 255
    return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4)
}

private func lightness(_ ratio: Double) -> Double {
    ratio > 216.0 / 24389 ? cbrt(ratio) : (24389.0 / 27 * ratio + 16) / 116
}

/// The sRGB colour of DICOM's three CIELab words, cut to what sRGB holds; nil where these are not three.
func sRGB(cieLab words: [Int]) -> SIMD3<UInt8>? {
    guard words.count == 3, words.allSatisfy((0...65535).contains) else { return nil }
    let parts = words.map { Double($0) / 65535 }
    let y = (parts[0] * 100 + 16) / 116, x = y + (parts[1] * 255 - 128) / 500, z = y - (parts[2] * 255 - 128) / 200
    let xyz = SIMD3(ratio(x) * 0.9642, ratio(y), ratio(z) * 0.8249)
    // The inverse of the matrix above.
    let rgb = [(xyz * [3.1338561, -1.6168667, -0.4906146]).sum(), (xyz * [-0.9787684, 1.9161415, 0.0334540]).sum(), (xyz * [0.0719453, -0.2289914, 1.4052427]).sum()]
    let bytes = rgb.map { value in
        let encoded = value <= 0.0031308 ? value * 12.92 : 1.055 * pow(value, 1 / 2.4) - 0.055
        return UInt8((min(max(encoded, 0), 1) * 255).rounded())
    }
    return SIMD3(bytes[0], bytes[1], bytes[2])
}

private func ratio(_ lightness: Double) -> Double {
    let cube = lightness * lightness * lightness
    return cube > 216.0 / 24389 ? cube : (116 * lightness - 16) * 27 / 24389
}
