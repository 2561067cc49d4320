extension Configuration {
    /// Which series are contoured and with which template set: the first rule that matches decides, and one that none matches is not.
    public struct Selection: Sendable, Equatable {
        public var rules: [Rule]

        /// One rule, with what it makes of a series that it matches.
        public struct Rule: Sendable, Equatable {
            /// Shown with jobs; unique.
            public var name: String
            public var when: Conditions
            /// Nil where the series is not to be contoured.
            public var templateSet: String?
            /// Nil where each series is contoured; else only the best of those that the rule matches.
            public var best: Best?
        }

        /// What must all hold of a series; none holds of what the series does not state.
        public struct Conditions: Sendable, Equatable {
            public var texts: [Text: TextPattern]
            /// Each must match one value of Image Type (0008,0008).
            public var imageType: [TextPattern]
            public var numbers: [Number: ClosedRange<Double>]
            public var isEmpty: Bool { texts.isEmpty && imageType.isEmpty && numbers.isEmpty }
        }

        /// What a pattern is held against.
        public enum Text: String, Sendable, Codable, CaseIterable {
            /// Modality (0008,0060).
            case modality
            /// Body Part Examined (0018,0015), or the code value or meaning in Anatomic Region Sequence (0008,2218).
            case bodyPart
            /// Series Description (0008,103E).
            case seriesDescription
            /// Study Description (0008,1030).
            case studyDescription
            /// Protocol Name (0018,1030).
            case protocolName
            /// Convolution Kernel (0018,1210), of several values each.
            case convolutionKernel
        }

        /// What a range is held against.
        public enum Number: String, Sendable, Codable, CaseIterable {
            /// Slice Thickness (0018,0050).
            case sliceThicknessMM
            /// The distance between neighbouring slices, by their positions: the smallest and the largest.
            case sliceSpacingMM
            /// Pixel Spacing (0028,0030): the smaller and the larger.
            case pixelSpacingMM
            /// How many places along the normal hold a slice.
            case slices
            /// Width and height of a slice.
            case fieldOfViewMM
            /// From the first slice to the last.
            case lengthMM
        }

        /// How the best of several series is chosen, once.
        public struct Best: Sendable, Equatable {
            /// What the series compete within.
            public enum Scope: String, Sendable, Codable, CaseIterable { case study, acquisition }
            /// What is compared, the first difference deciding.
            public enum Preference: String, Sendable, Codable, CaseIterable {
                case softKernel, thinnest, thickest, largestFieldOfView, smallestFieldOfView, mostSlices
            }
            /// What becomes of a better series that is complete only after the choice.
            public enum Late: String, Sendable, Codable, CaseIterable {
                /// The choice stands.
                case keep
                /// The better one is contoured too; a job of the first that has not ended sends nothing.
                case supersede
            }
            public var of: Scope
            public var prefer: [Preference]
            public var softKernel: TextPattern
            /// Quiet in the study, with none of its series still arriving, after which the choice is made.
            public var quietSeconds: Double
            /// After the first series was complete, the choice is made at the latest.
            public var waitSeconds: Double
            public var late: Late
        }

        /// Axial CT that a scanner reconstructed, of a size that shows anatomy: no localizers, no reformatted or derived images, no
        /// bolus tracking, no dose sheets.
        public static func standard(templateSet: String) -> Selection {
            return Selection(rules: [
                Rule(
                    name: "axial-ct",
                    when: Conditions(
                        texts: [.modality: TextPattern(known: "^CT$")],
                        imageType: ["^ORIGINAL$", "^PRIMARY$", "^(AXIAL|VOLUME)$"].map(TextPattern.init(known:)),
                        numbers: [.slices: 10...Double.infinity, .sliceSpacingMM: 0...10, .fieldOfViewMM: 120...1000]),
                    templateSet: templateSet, best: nil)
            ])
        }
    }
}

extension Configuration.Selection.Best {
    /// Kernels for soft tissue by the names that makers give them: GE; Siemens below 50; Philips; Canon.
    public static let usualSoftKernel = TextPattern(known: softKernelNames)
    static let softKernelNames = "^(STANDARD|STN?D|SOFT|(?-i:[A-Z][a-z]?)[1-4][0-9]|(UA|UB|A|B)$|FC[0-2][0-9])"
}

extension Configuration.Selection {
    /// Reads the section; `templateSet` is what a rule that names none contours with.
    static func read(_ section: Section, templateSet: String) -> Self {
        var names: Set<String> = []
        var catchAll: String?
        let rules = section.list("rules") { section in
            let rule = Rule(section, templateSet: templateSet)
            if !names.insert(rule.name).inserted { section.fail("name", "\(rule.name) is the name of an earlier rule") }
            if let catchAll { section.fail("name", "\(rule.name) is never reached: \(catchAll) before it matches every series") }
            if rule.when.isEmpty { catchAll = rule.name }
            return rule
        }
        return section.has("rules") ? Self(rules: rules) : standard(templateSet: templateSet)
    }
}

extension Configuration.Selection.Rule {
    init(_ section: Section, templateSet: String) {
        name = section.string("name")
        when = section.section("when", Configuration.Selection.Conditions.init)
        let named = section.optionalString("templateSet")
        let isContoured = section.flag("contour", default: true)
        self.templateSet = isContoured ? named ?? templateSet : nil
        best = section.optionalSection("best", Configuration.Selection.Best.init)
        if !isContoured, named != nil { section.fail("templateSet", "has no meaning where contour is false") }
        if !isContoured, best != nil { section.fail("best", "has no meaning where contour is false") }
    }
}

extension Configuration.Selection.Conditions {
    init(_ section: Section) {
        texts = [:]
        numbers = [:]
        for text in Configuration.Selection.Text.allCases {
            texts[text] = section.optional(text.rawValue) { section.pattern(text.rawValue) }
        }
        imageType = section.patterns("imageType")
        for number in Configuration.Selection.Number.allCases {
            numbers[number] = section.optionalSection(number.rawValue) { section in
                let from = section.number("from", 0...1e6, default: 0), to = section.number("to", 0...1e6, default: .infinity)
                guard from <= to else {
                    section.fail("to", "must not be smaller than from")
                    return from...from
                }
                return from...to
            }
        }
    }
}

extension Configuration.Selection.Best {
    init(_ section: Section) {
        of = section.word("of", default: .study)
        prefer = section.words("prefer", default: [.softKernel, .thinnest, .mostSlices])
        softKernel = section.pattern("softKernel", default: Self.softKernelNames)
        quietSeconds = section.number("quietSeconds", 0...86400, default: 60)
        waitSeconds = section.number("waitSeconds", 0...86400, default: 900)
        late = section.word("late", default: .keep)
        if waitSeconds < quietSeconds { section.fail("waitSeconds", "must not be shorter than quietSeconds") }
    }
}
