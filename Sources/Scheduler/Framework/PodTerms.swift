import API

/// Which pods a term is about: those of some namespaces whose labels match.
struct PodQuery: Hashable, Sendable {
  var namespaces: Set<String>
  var selector: Labels.Selector
  /// Whether pods that are being deleted still count.
  var countsTerminating = true

  func matches(_ namespace: String, _ labels: [String: String], isTerminating: Bool = false) -> Bool {
    (countsTerminating || !isTerminating) && namespaces.contains(namespace) && selector.matches(labels)
  }
}

/// A term of inter-pod affinity: the pods it is about, and the node label whose values it compares.
struct AffinityTerm: Hashable, Sendable {
  var query: PodQuery
  var topologyKey: String
  /// Of a preferred term.
  var weight: Int64 = 0
}

/// A constraint on how pods spread.
struct SpreadConstraint: Hashable, Sendable {
  var query: PodQuery
  var topologyKey: String
  var maxSkew: Int64
  var minDomains: Int64
  var isRequired: Bool
  var honoursAffinity: Bool
  var honoursTaints: Bool
  /// Whether the pod itself is one of those that are counted.
  var countsSelf: Bool
}

/// What a pod says about other pods, compiled.
struct PodTerms: Hashable, Sendable {
  var affinity: [AffinityTerm] = []
  var antiAffinity: [AffinityTerm] = []
  /// Anti-affinity has a negative weight.
  var preferred: [AffinityTerm] = []
  var spread: [SpreadConstraint] = []

  var isEmpty: Bool { affinity.isEmpty && antiAffinity.isEmpty && preferred.isEmpty && spread.isEmpty }

  /// `namespaces`: the labels of the namespaces there are.
  init(_ pod: Pod, namespaces: [String: [String: String]]) {
    if let terms = pod.spec.affinity?.podAffinity {
      affinity = terms.requiredDuringSchedulingIgnoredDuringExecution.compactMap {
        Self.term($0, of: pod, 0, namespaces)
      }
      preferred += terms.preferredDuringSchedulingIgnoredDuringExecution.compactMap {
        Self.term($0.podAffinityTerm, of: pod, Int64($0.weight), namespaces)
      }
    }
    if let terms = pod.spec.affinity?.podAntiAffinity {
      antiAffinity = terms.requiredDuringSchedulingIgnoredDuringExecution.compactMap {
        Self.term($0, of: pod, 0, namespaces)
      }
      preferred += terms.preferredDuringSchedulingIgnoredDuringExecution.compactMap {
        Self.term($0.podAffinityTerm, of: pod, -Int64($0.weight), namespaces)
      }
    }
    spread = pod.spec.topologySpreadConstraints.compactMap { Self.constraint($0, of: pod) }
  }

  private static func term(
    _ term: PodAffinityTerm, of pod: Pod, _ weight: Int64, _ namespaces: [String: [String: String]]
  ) -> AffinityTerm? {
    guard let selector = try? term.labelSelector?.selector() else { return nil }
    var requirements: [Labels.Requirement] = []
    for key in term.matchLabelKeys {
      guard let value = pod.metadata.labels[key] else { continue }
      if let requirement = try? Labels.Requirement(key: key, op: .in, values: [value]) {
        requirements.append(requirement)
      }
    }
    for key in term.mismatchLabelKeys {
      guard let value = pod.metadata.labels[key] else { continue }
      if let requirement = try? Labels.Requirement(key: key, op: .notIn, values: [value]) {
        requirements.append(requirement)
      }
    }
    var places = Set(term.namespaces)
    if let chosen = term.namespaceSelector {
      if let chosen = try? chosen.selector() {
        for (name, labels) in namespaces where chosen.matches(labels) { places.insert(name) }
      }
    } else if places.isEmpty {
      places = [pod.metadata.namespace]
    }
    return AffinityTerm(
      query: PodQuery(namespaces: places, selector: selector.adding(requirements)), topologyKey: term.topologyKey,
      weight: weight)
  }

  private static func constraint(_ constraint: TopologySpreadConstraint, of pod: Pod) -> SpreadConstraint? {
    guard let selector = try? (constraint.labelSelector?.selector() ?? .nothing) else { return nil }
    let requirements = constraint.matchLabelKeys.compactMap { key -> Labels.Requirement? in
      pod.metadata.labels[key].flatMap { try? Labels.Requirement(key: key, op: .in, values: [$0]) }
    }
    let query = PodQuery(
      namespaces: [pod.metadata.namespace], selector: selector.adding(requirements), countsTerminating: false)
    return SpreadConstraint(
      query: query, topologyKey: constraint.topologyKey, maxSkew: Int64(constraint.maxSkew),
      minDomains: Int64(constraint.minDomains ?? 1), isRequired: constraint.whenUnsatisfiable == "DoNotSchedule",
      honoursAffinity: constraint.nodeAffinityPolicy != "Ignore",
      honoursTaints: constraint.nodeTaintsPolicy == "Honor",
      countsSelf: query.selector.matches(pod.metadata.labels))
  }

  /// Upstream's constraints for pods of a workload that have none: `selector` is that of their services and controllers.
  mutating func addDefaultSpread(_ selector: Labels.Selector, of pod: Pod) {
    for (key, skew) in [("kubernetes.io/hostname", Int64(3)), ("topology.kubernetes.io/zone", 5)] {
      let query = PodQuery(namespaces: [pod.metadata.namespace], selector: selector, countsTerminating: false)
      spread.append(
        SpreadConstraint(
          query: query, topologyKey: key, maxSkew: skew, minDomains: 1, isRequired: false, honoursAffinity: true,
          honoursTaints: false, countsSelf: selector.matches(pod.metadata.labels)))
    }
  }
}
