import DICOMImaging
import NodeConfiguration
import NodeStore

extension Configuration {
    /// Every object that some destination may get, each once; where there is no destination, those of profile `generic`.
    var specifications: [ResultSpecification] {
        let all = (destinations.isEmpty ? [Results()] : destinations.map(\.results)).flatMap { $0.items.map(\.specification) }
        return all.enumerated().filter { all.firstIndex(of: $1) == $0 }.map(\.element)
    }

    /// The deliveries of a job's objects, each with its specification: to each destination only what it gets.
    func deliveries(of specifications: [ResultSpecification]) -> [NewDelivery] {
        destinations.flatMap { destination in
            destination.results.items.flatMap { item in
                specifications.indices.filter { specifications[$0] == item.specification }.map {
                    NewDelivery(result: $0, destination: destination.name, condition: DeliveryCondition(rawValue: item.condition.rawValue))
                }
            }
        }
    }
}
