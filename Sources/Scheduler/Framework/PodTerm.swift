import API
import APIMachinery

/// The namespace and labels of a pod, which is all that selectors see of it.
struct LabelSet: Hashable, Sendable {
  var namespace: String
  var labels: [String: String]
  /// On its way out: spreading no longer counts it, affinity does.
  var terminating = false
}

/// A pod affinity term with its namespaces spelled out and its selectors made ready.
struct PodTerm: Hashable, Sendable {
  var topologyKey: String
  var namespaces: Set<String>
  var namespaceSelector: Labels.Selector
  var selector: Labels.Selector

  init(_ term: PodAffinityTerm, of pod: Pod) {
    topologyKey = term.topologyKey
    namespaces = Set(term.namespaces)
    if namespaces.isEmpty && term.namespaceSelector == nil { namespaces = [pod.metadata.namespace] }
    namespaceSelector = (try? term.namespaceSelector.selector()) ?? .nothing
    let base = (try? term.labelSelector.selector()) ?? .nothing
    let labels = pod.metadata.labels
    selector = base.adding(
      term.matchLabelKeys.compactMap { key in
        labels[key].flatMap { try? Labels.Requirement(key: key, op: .in, values: [$0]) }
      }
        + term.mismatchLabelKeys.compactMap { key in
          labels[key].flatMap { try? Labels.Requirement(key: key, op: .notIn, values: [$0]) }
        })
  }

  func matches(_ set: LabelSet, _ namespaceLabels: [String: [String: String]]) -> Bool {
    let inNamespace =
      namespaces.contains(set.namespace)
      || (!namespaceSelector.isNothing && namespaceSelector.matches(namespaceLabels[set.namespace] ?? [:]))
    return inNamespace && selector.matches(set.labels)
  }
}

extension Labels.Selector {
  /// The selector with further requirements; those it already has are not repeated.
  func adding(_ more: [Labels.Requirement]) -> Labels.Selector {
    if isNothing || more.isEmpty { return self }
    return Labels.Selector(requirements + more.filter { !requirements.contains($0) })
  }
}

/// What a pod on a node says about others that come: an anti-affinity that keeps them away, or a preference with a weight.
struct StandingTerm: Hashable, Sendable {
  var term: PodTerm
  /// Nil where the term forbids.
  var weight: Int64?
  /// A required affinity, whose weight is the profile's to say.
  var isRequired = false
}

/// A topology spread constraint, ready to count with.
struct SpreadConstraint: Hashable, Sendable {
  var topologyKey: String
  var maxSkew: Int64
  var minDomains: Int64 = 1
  var hard: Bool
  var honoursAffinity = true
  var honoursTaints = false
  var selector: Labels.Selector
  var matchesSelf: Bool

  init(_ constraint: TopologySpreadConstraint, of pod: Pod, selector deduced: Labels.Selector? = nil) {
    topologyKey = constraint.topologyKey
    maxSkew = Int64(constraint.maxSkew)
    minDomains = Int64(constraint.minDomains ?? 1)
    hard = constraint.whenUnsatisfiable != "ScheduleAnyway"
    honoursAffinity = constraint.nodeAffinityPolicy != "Ignore"
    honoursTaints = constraint.nodeTaintsPolicy == "Honor"
    let labels = pod.metadata.labels
    let base = deduced ?? (try? constraint.labelSelector.selector()) ?? .nothing
    selector = base.adding(
      constraint.matchLabelKeys.compactMap { key in
        labels[key].flatMap { try? Labels.Requirement(key: key, op: .in, values: [$0]) }
      })
    matchesSelf = selector.matches(labels)
  }

  /// One of the constraints that pods without any of their own follow.
  init(topologyKey: String, maxSkew: Int64, hard: Bool = false, selector: Labels.Selector, labels: [String: String]) {
    self.topologyKey = topologyKey
    self.maxSkew = maxSkew
    self.hard = hard
    self.selector = selector
    matchesSelf = selector.matches(labels)
  }
}
