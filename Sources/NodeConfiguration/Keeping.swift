/// What bounds the disk, and what may be deleted from it.
extension Configuration {
    /// Below this much free, in either, something is done.
    public struct Watermark: Sendable, Equatable, CustomStringConvertible {
        public var megabytes: Int
        public var percent: Double

        public init(megabytes: Int, percent: Double) {
            self.megabytes = megabytes
            self.percent = percent
        }

        public var description: String { "\(megabytes) MB or \(percent) %" }
    }

    /// What is done while the disk fills, before C-STORE is answered 0xA700 (`receiving.minimumFree...`).
    public struct Disk: Sendable, Equatable {
        /// Below it a person is warned.
        public var warn: Watermark
        /// Below it new associations are rejected.
        public var reject: Watermark
        /// So much above a watermark before it is over, so that a disk at the mark does not change the answer with each instance.
        public var margin: Watermark
    }

    /// For how many days files are kept when nothing needs them any more; nil is for ever.
    public struct Retention: Sendable, Equatable {
        /// After every destination took a series' results.
        public var deliveredDays: Double?
        /// After a series was found to make no result.
        public var notContouredDays: Double?
        /// After a series' job failed for good.
        public var failedDays: Double?
        /// After a series was quarantined, or a person last decided about it.
        public var quarantinedDays: Double?
    }

    /// What becomes of an instance whose SOP Instance UID is known with other content.
    public enum Conflicts: String, Sendable, CaseIterable { case keepFirst, keepLast, refuse }

    static func disk(_ section: Section) -> Disk {
        func mark(_ name: String, _ megabytes: Int, _ percent: Double) -> Watermark {
            Watermark(
                megabytes: section.integer("\(name)Megabytes", 0...1_000_000_000, default: megabytes),
                percent: section.number("\(name)Percent", 0...100, default: percent))
        }
        return Disk(warn: mark("warn", 10240, 5), reject: mark("reject", 0, 0), margin: mark("margin", 256, 0.5))
    }

    static func retention(_ section: Section) -> Retention {
        func days(_ name: String) -> Double? {
            let days = section.number(name, 0...1e5, default: 0)
            return days == 0 ? nil : days
        }
        return Retention(
            deliveredDays: days("deliveredDays"), notContouredDays: days("notContouredDays"), failedDays: days("failedDays"),
            quarantinedDays: days("quarantinedDays"))
    }
}
