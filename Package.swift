// swift-tools-version: 6.1
import PackageDescription

// DCMTK, GDCM and OpenJPEG are linked by name: Debian's dcmtk.pc wants packages that nothing here needs, GDCM has none.
// dcmjpls must never be linked: its CharLS exports collide with GDCM's.
let dcmtk: [LinkerSetting] = ["dcmtls", "dcmnet", "dcmjpeg", "dcmdata", "oflog", "ofstd", "ssl", "crypto", "z"].map { .linkedLibrary($0) }
let gdcm: [LinkerSetting] = ["gdcmMSFF", "gdcmDICT", "gdcmDSED", "gdcmIOD", "gdcmCommon", "openjp2"].map { .linkedLibrary($0) }

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

// Optimised in debug builds too: loops over voxels take minutes otherwise, and tests run them whole.
let optimised: [SwiftSetting] = [.unsafeFlags(["-O"], .when(configuration: .debug))]

/// The rooms of the house and what each may import; Tests/ArchitectureTests holds the sources to it.
let package = Package(
    name: "medlsam-node",
    products: [.executable(name: "medlsam-node", targets: ["medlsam-node"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(name: "CDCMTK", linkerSettings: dcmtk),
        .target(name: "CGDCM", linkerSettings: gdcm),
        .target(name: "COpenVINO", linkerSettings: [.linkedLibrary("dl")]),
        .target(name: "CRE2", linkerSettings: [.linkedLibrary("re2")]),
        .systemLibrary(name: "CZlib"),
        .systemLibrary(name: "CCairo"),
        .target(name: "DICOMCore", dependencies: ["CDCMTK", crypto]),
        .target(name: "DICOMNetwork", dependencies: ["DICOMCore", "CDCMTK", logging]),
        .target(name: "ImagingGeometry", swiftSettings: optimised),
        .target(name: "DICOMImaging", dependencies: ["DICOMCore", "ImagingGeometry", "CGDCM", "CZlib", "CCairo"], swiftSettings: optimised),
        .target(name: "ModelRuntime", dependencies: ["COpenVINO", crypto]),
        .target(name: "MedLSAM", dependencies: ["ImagingGeometry", "ModelRuntime"], swiftSettings: optimised),
        .target(name: "NodeStore", dependencies: [grdb]),
        .target(name: "NodeConfiguration", dependencies: ["DICOMCore", "DICOMImaging", "CRE2", yams]),
        .target(name: "Node", dependencies: [
            "DICOMCore", "DICOMNetwork", "ImagingGeometry", "DICOMImaging", "ModelRuntime", "MedLSAM",
            "NodeStore", "NodeConfiguration", crypto, lifecycle, signals, logging,
        ]),
        .executableTarget(name: "medlsam-node", dependencies: ["Node", arguments]),
        .executableTarget(name: "convert-invesalius", dependencies: ["DICOMCore"], path: "Samples/ConvertInvesalius"),
        .executableTarget(name: "measure-results", dependencies: ["DICOMCore", "DICOMImaging", "ImagingGeometry"], path: "Benchmarks/results"),
        .target(name: "NodeTesting", dependencies: ["DICOMCore", "DICOMNetwork", "ImagingGeometry", "ModelRuntime"], path: "Tests/NodeTesting"),
        .executableTarget(name: "measure-structures", dependencies: ["DICOMCore", "DICOMImaging", "ImagingGeometry"], path: "Benchmarks/measure-structures"),
        .executableTarget(name: "fuzz-series", dependencies: ["DICOMCore", "DICOMImaging", "ImagingGeometry", "NodeTesting"], path: "Tests/Fuzz/series"),
        .executableTarget(name: "fuzz-masks", dependencies: ["DICOMCore", "DICOMImaging", "ImagingGeometry", "NodeTesting"], path: "Tests/Fuzz/masks"),
        .testTarget(name: "ArchitectureTests"),
        .testTarget(name: "DICOMCoreTests", dependencies: ["DICOMCore", "NodeTesting"]),
        .testTarget(name: "DICOMNetworkTests", dependencies: ["DICOMCore", "DICOMNetwork", "NodeTesting"]),
        .testTarget(name: "ImagingGeometryTests", dependencies: ["ImagingGeometry", "NodeTesting"]),
        .testTarget(name: "DICOMImagingTests", dependencies: ["DICOMCore", "ImagingGeometry", "DICOMImaging", "NodeTesting"], swiftSettings: optimised),
        .testTarget(name: "ModelRuntimeTests", dependencies: ["ModelRuntime", "NodeTesting"]),
        .testTarget(name: "MedLSAMTests", dependencies: ["MedLSAM", "NodeTesting"]),
        .testTarget(name: "NodeStoreTests", dependencies: ["NodeStore", "NodeTesting", grdb]),
        .testTarget(name: "NodeConfigurationTests", dependencies: ["DICOMCore", "DICOMImaging", "NodeConfiguration", "NodeTesting"]),
        .testTarget(name: "NodeTests", dependencies: ["DICOMCore", "DICOMNetwork", "ImagingGeometry", "DICOMImaging", "NodeConfiguration", "Node", "NodeStore", "MedLSAM", "NodeTesting"]),
        .testTarget(name: "JourneyTests", dependencies: ["medlsam-node", "convert-invesalius", "fuzz-series", "fuzz-masks", "DICOMCore", "Node", "NodeTesting", logging]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
