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
