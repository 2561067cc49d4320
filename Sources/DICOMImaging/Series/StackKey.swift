import DICOMCore

/// What tells stacks of one series from each other where they lie at the same place, in the order in which it is asked.
///
/// None of these splits a series by itself: an even stack whose Image Type or Acquisition Number changes half way is one stack.
public enum StackKey: String, Sendable, CaseIterable, Codable {
    case imageType = "Image Type"
    case temporalPosition = "Temporal Position Identifier"
    case temporalOffset = "Temporal Position Time Offset"
    case cardiacPhase = "Nominal Percentage of Cardiac Phase"
    case respiratoryPhase = "Nominal Percentage of Respiratory Phase"
    case triggerTime = "Trigger Time"
    case convolutionKernel = "Convolution Kernel"
    case stackID = "Stack ID"
    case sliceThickness = "Slice Thickness"
    case acquisitionNumber = "Acquisition Number"
    case contrastBolusAgent = "Contrast/Bolus Agent"
    case contrastBolusAgentPhase = "Contrast/Bolus Agent Phase"
    case kvp = "KVP"
    case reconstructionDiameter = "Reconstruction Diameter"

    /// The values that a frame has, by the keys' names; those it lacks are left out.
    static func distinctions(of frame: FrameAttributes, imageType: [String]) -> [String: String] {
        func first(_ places: (Tag, Tag)...) -> String? {
            for (tag, group) in places {
                guard let holder = frame.holder(of: tag, in: group) else { continue }
                let values = holder.strings(tag).isEmpty ? holder.doubles(tag).map { "\($0)" } : holder.strings(tag)
                if values.contains(where: { !$0.isEmpty }) { return values.joined(separator: "\\") }
            }
            return nil
        }
        var result: [String: String] = [:]
        for key in allCases {
            let value: String? =
                switch key {
                case .imageType: imageType.isEmpty ? nil : imageType.joined(separator: "\\")
                case .temporalPosition: first((.temporalPositionIndex, .frameContentSequence), (.temporalPositionIdentifier, .frameContentSequence))
                case .temporalOffset: first((.temporalPositionTimeOffset, .temporalPositionSequence))
                case .cardiacPhase: first((.nominalPercentageOfCardiacPhase, .cardiacSynchronizationSequence))
                case .respiratoryPhase: first((.nominalPercentageOfRespiratoryPhase, .respiratorySynchronizationSequence))
                case .triggerTime: first((.nominalCardiacTriggerDelayTime, .cardiacSynchronizationSequence), (.triggerTime, .cardiacSynchronizationSequence))
                case .convolutionKernel: first((.convolutionKernel, .ctReconstructionSequence))
                case .stackID: first((.stackID, .frameContentSequence))
                case .sliceThickness: first((.sliceThickness, .pixelMeasuresSequence))
                case .acquisitionNumber: first((.frameAcquisitionNumber, .frameContentSequence), (.acquisitionNumber, .frameContentSequence))
                case .contrastBolusAgent: first((.contrastBolusAgent, .frameContentSequence))
                case .contrastBolusAgentPhase: first((.contrastBolusAgentPhase, .contrastBolusUsageSequence))
                case .kvp: first((.kvp, .ctXRayDetailsSequence))
                case .reconstructionDiameter: first((.reconstructionDiameter, .ctReconstructionSequence))
                }
            result[key.rawValue] = value
        }
        return result
    }
}

extension SliceHeader {
    /// The value of a key; "" where there is none.
    public func value(of key: StackKey) -> String { distinctions?[key.rawValue] ?? "" }
}
