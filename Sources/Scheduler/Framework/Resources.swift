import API

/// Amounts of compute resources, in the units that the scheduler compares: thousandths of a CPU, bytes, counts.
public struct Resources: Hashable, Sendable {
  /// Thousandths of a CPU.
  public var milliCPU: Int64 = 0
  /// Bytes.
  public var memory: Int64 = 0
  /// Bytes.
  public var ephemeralStorage: Int64 = 0
  /// Extended resources and huge pages by name.
  public var scalar: [String: Int64] = [:]

  public init() {}

  init(_ list: [String: Quantity]) {
    for (name, quantity) in list {
      switch name {
      case "cpu": milliCPU = quantity.milliValue
      case "memory": memory = quantity.value
      case "ephemeral-storage": ephemeralStorage = quantity.value
      case "pods": break
      default: scalar[name] = quantity.value
      }
    }
  }

  static func += (a: inout Resources, b: Resources) { a.combine(b, +) }
  static func -= (a: inout Resources, b: Resources) { a.combine(b, -) }

  private mutating func combine(_ other: Resources, _ operation: (Int64, Int64) -> Int64) {
    milliCPU = operation(milliCPU, other.milliCPU)
    memory = operation(memory, other.memory)
    ephemeralStorage = operation(ephemeralStorage, other.ephemeralStorage)
    for (name, amount) in other.scalar { scalar[name] = operation(scalar[name] ?? 0, amount) }
  }
}

extension Pod {
  /// Requests for scoring, where a container that asks for nothing still counts for something.
  var nonZeroRequests: Resources {
    var filled = spec
    func fill(_ containers: inout [Container]) {
      for index in containers.indices {
        if containers[index].resources.requests["cpu"] == nil {
          containers[index].resources.requests["cpu"] = Quantity(milli: 100)
        }
        if containers[index].resources.requests["memory"] == nil {
          containers[index].resources.requests["memory"] = Quantity(200 * 1024 * 1024)
        }
      }
    }
    fill(&filled.containers)
    fill(&filled.initContainers)
    return Resources(filled.totalRequests)
  }
}
