import API

/// An error that leaves a container unstarted, in the words its status shows.
struct ContainerConfigError: Error, Sendable, Equatable, CustomStringConvertible {
  var description: String
}

/// Reads what the downward API offers of a pod.
enum FieldPaths {
  /// The value of a field path; nil when it is not one that the downward API knows.
  static func value(_ path: String, pod: Pod, hostIPs: [String], podIPs: [String]) -> String? {
    if let (base, key) = subscripted(path) {
      switch base {
      case "metadata.annotations": return pod.metadata.annotations[key] ?? ""
      case "metadata.labels": return pod.metadata.labels[key] ?? ""
      default: return nil
      }
    }
    switch path {
    case "metadata.name": return pod.metadata.name
    case "metadata.namespace": return pod.metadata.namespace
    case "metadata.uid": return pod.metadata.uid
    case "metadata.labels": return format(pod.metadata.labels)
    case "metadata.annotations": return format(pod.metadata.annotations)
    case "spec.nodeName": return pod.spec.nodeName
    case "spec.serviceAccountName": return pod.spec.serviceAccountName
    case "status.hostIP": return hostIPs.first ?? ""
    case "status.hostIPs": return hostIPs.joined(separator: ",")
    case "status.podIP": return podIPs.first ?? ""
    case "status.podIPs": return podIPs.joined(separator: ",")
    default: return nil
    }
  }

  /// `base['key']` in its parts.
  private static func subscripted(_ path: String) -> (String, String)? {
    guard path.hasSuffix("']"), let open = path.firstIndex(of: "[") else { return nil }
    let rest = path[path.index(after: open)...]
    guard rest.first == "'" else { return nil }
    return (String(path[..<open]), String(rest.dropFirst().dropLast(2)))
  }

  /// Maps as files show them: sorted `key="value"` lines, quoted as Go quotes.
  static func format(_ map: [String: String]) -> String {
    map.sorted { $0.key < $1.key }.map { "\($0.key)=\(quote($0.value))" }.joined(separator: "\n")
  }

  static func quote(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case _ where scalar.value < 0x20 || scalar.value == 0x7f:
        let hex = String(scalar.value, radix: 16)
        out += "\\x" + (hex.count < 2 ? "0" : "") + hex
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }

  /// The value of a container's request or limit in units of the divisor; the node's allocatable stands for a
  /// limit that is not set.
  static func resource(_ selector: ResourceFieldSelector, container: Container, allocatable: [String: Quantity]) throws
    -> String
  {
    let divisor = selector.divisor.isZero ? Quantity(1) : selector.divisor
    guard let dot = selector.resource.firstIndex(of: ".") else {
      throw ContainerConfigError(description: "unsupported container resource : \(selector.resource)")
    }
    let kind = selector.resource[..<dot]
    let name = String(selector.resource[selector.resource.index(after: dot)...])
    let quantity: Quantity
    switch kind {
    case "limits":
      quantity =
        container.resources.limits[name].flatMap { $0.isZero ? nil : $0 } ?? allocatable[name] ?? Quantity(0)
    case "requests":
      quantity = container.resources.requests[name] ?? container.resources.limits[name] ?? Quantity(0)
    default: throw ContainerConfigError(description: "unsupported container resource : \(selector.resource)")
    }
    if name == "cpu" {
      let unit = divisor.milliValue
      return String((quantity.milliValue + unit - 1) / unit)
    }
    let unit = divisor.value
    return String((quantity.value + unit - 1) / unit)
  }
}
