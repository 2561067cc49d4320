import DICOMCore

/// One frame's attributes, wherever the object keeps them.
///
/// A single-frame image has them in its data set. A multi-frame image (PS3.3 C.7.6.16) has them in functional groups, the
/// frame's own before the shared ones; one converted from single frames may keep those that have no group among the unassigned
/// converted attributes (PS3.3 C.7.6.16.2.25).
struct FrameAttributes {
    let dataSet: DataSet
    /// The frame's number, from 1; nil for a single-frame image, and for what a multi-frame one says of all frames.
    let number: Int?
    /// The frame's items, its own first; empty for a single-frame image.
    private let groups: [DataSet]

    /// A single-frame image, or what a multi-frame image says of all its frames.
    init(_ dataSet: DataSet) {
        self.dataSet = dataSet
        number = nil
        groups = []
    }

    private init(_ dataSet: DataSet, number: Int, groups: [DataSet]) {
        self.dataSet = dataSet
        self.number = number
        self.groups = groups
    }

    /// More frames than any scan has: 3,000 slices at 20 times. A bound on what is allocated.
    static let maximumFrames = 60_000

    /// The frames of a multi-frame image in their order, frame 1 first.
    static func frames(of dataSet: DataSet) throws(Refusal) -> [FrameAttributes] {
        guard let count = dataSet.integer(.numberOfFrames), count > 0 else { throw Refusal(.unreadable, "Number of Frames is missing or no positive number") }
        guard count <= maximumFrames else { throw Refusal(.unsupported, "it claims \(count) frames (\(maximumFrames) are read at most)") }
        let own = dataSet.items(.perFrameFunctionalGroupsSequence), shared = dataSet.items(.sharedFunctionalGroupsSequence)
        guard own.count == count else {
            throw Refusal(.unreadable, "it has \(count) frames but \(own.count) items of Per-Frame Functional Groups")
        }
        guard shared.count == 1 else { throw Refusal(.unreadable, "it has \(shared.count) items of Shared Functional Groups instead of one") }
        return zip(1..., own).map { FrameAttributes(dataSet, number: $0, groups: [$1, shared[0]]) }
    }

    /// The data set or item that holds an attribute, which belongs to a functional group in multi-frame images.
    func holder(of tag: Tag, in group: Tag) -> DataSet? {
        for groups in groups {
            if let item = groups.items(group).first, item.contains(tag) { return item }
        }
        for (groups, converted) in zip(groups, [Tag.unassignedPerFrameConvertedAttributesSequence, .unassignedSharedConvertedAttributesSequence]) {
            if let item = groups.items(converted).first, item.contains(tag) { return item }
        }
        return dataSet.contains(tag) ? dataSet : nil
    }

    func doubles(_ tag: Tag, in group: Tag) -> [Double] { holder(of: tag, in: group)?.doubles(tag) ?? [] }
    func double(_ tag: Tag, in group: Tag) -> Double? { doubles(tag, in: group).first }
    func string(_ tag: Tag, in group: Tag) -> String? { holder(of: tag, in: group)?.string(tag) }
}
