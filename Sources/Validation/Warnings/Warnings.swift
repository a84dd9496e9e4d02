public import API

/// What a client should know about an object that it may nevertheless write, in upstream's words; `old` is what an
/// update replaces.
public func warnings(for object: any APIObject, old: (any APIObject)?) -> [String] {
  var notes = Notes()
  switch object {
  case let pod as Pod:
    // People seldom change pods themselves, and others do so often.
    if old == nil { notes.pod(pod) }
  case let workload as any Warned:
    // Only a change that counts is worth looking at templates again.
    if let old, old.metadata.generation == object.metadata.generation { break }
    workload.warn(&notes, isNew: old == nil)
  default: notes.others(object, old)
  }
  return notes.texts
}

/// Kinds that hold a template of pods.
protocol Warned: APIObject {
  func warn(_ notes: inout Notes, isNew: Bool)
}

/// The warnings found so far.
struct Notes {
  private(set) var texts: [String] = []

  mutating func add(_ path: FieldPath, _ text: String) { texts.append("\(path): \(text)") }

  mutating func add(_ text: String) { texts.append(text) }

  /// Names that cannot be names of hosts.
  mutating func hostName(_ name: String, _ use: String) {
    let problems = Names.isDNS1123Label(name)
    if problems.isEmpty { return }
    add(
      "metadata.name: this is used in \(use), which can result in surprising behavior; a DNS label is recommended: "
        + "[\(problems.joined(separator: " "))]")
  }

  mutating func workloadName(_ name: String) { hostName(name, "Pod names and hostnames") }

  /// An address that is valid, but not in its usual form.
  mutating func address(_ value: String, _ path: FieldPath) {
    guard let ip = IPAddressBytes(value) else { return }
    if ip.mapped != nil {
      add(
        path,
        "non-standard IP address \(goQuoted(value)) will be considered invalid in a future Kubernetes release: use "
          + goQuoted(ip.description))
    } else if !ip.isV4, ip.description != value {
      add(
        path,
        "IPv6 address \(goQuoted(value)) should be in RFC 5952 canonical format (\(goQuoted(ip.description)))")
    }
  }

  /// A block of addresses that is valid, but not in its usual form.
  mutating func block(_ value: String, _ path: FieldPath) {
    guard let block = CIDRBlock(value) else { return }
    let count = texts.count
    let network = block.network
    if network.address != block.address {
      add(
        path,
        "CIDR value \(goQuoted(value)) is ambiguous in this context (should be \(goQuoted(network.text)) or "
          + "\(goQuoted("\(block.address)/\(block.address.bytes.count * 8)"))?)")
    }
    let length = value.split(separator: "/").last ?? ""
    if block.address.mapped != nil || (length.count > 1 && length.first == "0") {
      add(
        path,
        "non-standard CIDR value \(goQuoted(value)) will be considered invalid in a future Kubernetes release: use "
          + goQuoted(network.text))
    }
    if texts.count == count, !block.address.isV4, block.text != value {
      add(
        path,
        "IPv6 CIDR value \(goQuoted(value)) should be in RFC 5952 canonical format (\(goQuoted(block.text)))")
    }
  }

  /// An amount of bytes that is no whole number.
  mutating func wholeBytes(_ list: [String: Quantity], _ names: [String], _ path: FieldPath) {
    for name in names {
      guard let value = list[name], value.milliValue % 1000 != 0 else { continue }
      add(path.key(name), "fractional byte value \(goQuoted(value.description)) is invalid, must be an integer")
    }
  }

  mutating func claim(_ spec: PersistentVolumeClaimSpec, _ path: FieldPath) {
    wholeBytes(spec.resources.requests, ["storage"], path.child("resources", "requests"))
    wholeBytes(spec.resources.limits, ["storage"], path.child("resources", "limits"))
  }

  /// Requirements on nodes that name labels no longer in use; `values` are checked where nothing else does so.
  mutating func nodeTerm(_ term: NodeSelectorTerm, values: Bool = false, _ path: FieldPath) {
    for (i, expression) in term.matchExpressions.enumerated() {
      let path = path.child("matchExpressions").index(i)
      if let text = deprecatedLabels[expression.key] { add(path.child("key"), "\(expression.key) is \(text)") }
      guard values else { continue }
      for (j, value) in expression.values.enumerated() {
        for problem in Names.isLabelValue(value) {
          add(path.child("values").index(j), "\(value) is invalid, \(problem)")
        }
      }
    }
  }
}

/// Labels of nodes that have other names today.
let deprecatedLabels = [
  "beta.kubernetes.io/arch": #"deprecated since v1.14; use "kubernetes.io/arch" instead"#,
  "beta.kubernetes.io/os": #"deprecated since v1.14; use "kubernetes.io/os" instead"#,
  "failure-domain.beta.kubernetes.io/region": #"deprecated since v1.17; use "topology.kubernetes.io/region" instead"#,
  "failure-domain.beta.kubernetes.io/zone": #"deprecated since v1.17; use "topology.kubernetes.io/zone" instead"#,
  "beta.kubernetes.io/instance-type": #"deprecated since v1.17; use "node.kubernetes.io/instance-type" instead"#,
  "app.kubernetes.io/created-by": "deprecated since v1.9",
  "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
  "node-role.kubernetes.io/master": #"use "node-role.kubernetes.io/control-plane" instead"#,
]
