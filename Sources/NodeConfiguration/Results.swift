import DICOMImaging

extension Configuration {
    /// What a destination gets, and how each of it is written: a profile's choices, each of which the settings may override.
    public struct Results: Sendable, Equatable {
        public var objects: [ResultKind] = [.segmentation, .structureSet]
        public var segmentation = SegmentationOptions()
        public var structureSet = StructureSetOptions()
        public var captures = CaptureOptions()
        public var measurements = MeasurementOptions()

        public init() {}

        /// Reads the keys of a destination, over the choices of its profile.
        init(_ section: Section) {
            self.init(section.word("profile", default: Profile.generic))
            objects = section.words("objects", default: objects)
            if objects.isEmpty { section.fail("objects", "must not be empty") }
            if Set(objects).count < objects.count { section.fail("objects", "names an object twice") }
            segmentation = section.segmentation(over: segmentation)
            structureSet = section.structureSet(over: structureSet)
            captures = section.captures(over: captures)
            measurements = section.measurements(over: measurements)
        }

        /// An object, and when it goes.
        public struct Item: Sendable, Equatable {
            public let specification: ResultSpecification
            public let condition: Condition
        }

        /// Label maps are a SOP class of their own, which a peer takes or not: what goes out depends on it.
        public enum Condition: String, Sendable { case always, decides, ifTaken, ifNotTaken }

        /// Every object that the destination may get. A label map comes with a binary segmentation for a peer that does not take it, and
        /// so does the report that refers to its segments.
        public var items: [Item] {
            var segmentations: [(SegmentationOptions, Condition)] = []
            if objects.contains(.segmentation) {
                let isLabelMap = segmentation.form == .labelmap
                segmentations = [(segmentation, isLabelMap ? .decides : .always)]
                if isLabelMap {
                    var binary = segmentation
                    binary.form = .binary
                    segmentations.append((binary, .ifNotTaken))
                }
            }
            return segmentations.map { Item(specification: .segmentation($0), condition: $1) } + objects.flatMap { kind -> [Item] in
                switch kind {
                case .segmentation: []
                case .structureSet: [Item(specification: .structureSet(structureSet), condition: .always)]
                case .overlay: [Item(specification: .overlay(captures), condition: .always)]
                case .summary: [Item(specification: .summary(captures), condition: .always)]
                case .document: [Item(specification: .document(captures), condition: .always)]
                case .measurements where segmentations.isEmpty: [Item(specification: .measurements(measurements, of: nil), condition: .always)]
                case .measurements: segmentations.map {
                    Item(specification: .measurements(measurements, of: $0), condition: $1 == .decides ? .ifTaken : $1)
                }
                }
            }
        }
    }
}
