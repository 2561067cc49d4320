extension Configuration {
    /// How jobs run, and by which method.
    public struct Contouring: Sendable, Equatable {
        public var templateSet: String
        public var localiser: Localiser
        public var segmenter: Segmenter
        public var concurrentJobs, threads, attempts: Int
        public var timeoutMinutes: Double

        /// What finds structures; docs/explanation/contouring.md.
        public enum Localiser: String, Sendable, CaseIterable {
            case medlam, medlamPublished = "medlam-published", registration, templateBox = "template-box"
        }

        /// What makes masks of them.
        public enum Segmenter: String, Sendable, CaseIterable {
            case trained, liteMedSAM = "lite-medsam", medsamViTB = "medsam-vit-b", samViTB = "sam-vit-b", shape, box
        }
    }

    static func readContouring(_ section: Section) -> Contouring {
        Contouring(
            templateSet: section.string("templateSet", default: "head-neck"),
            localiser: section.word("localiser", default: .medlam), segmenter: section.word("segmenter", default: .trained),
            concurrentJobs: section.integer("concurrentJobs", 1...64, default: 1), threads: section.integer("threads", 0...1024, default: 0),
            attempts: section.integer("attempts", 1...100, default: 3), timeoutMinutes: section.number("timeoutMinutes", 0.01...1e5, default: 60))
    }
}
