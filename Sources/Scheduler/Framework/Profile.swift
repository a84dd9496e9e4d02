public import API
import APIMachinery

/// A configuration that cannot be followed.
public struct SchedulerConfigurationError: Error, CustomStringConvertible, Sendable {
  /// The field and what is wrong with it.
  public var description: String
}

/// One profile of a KubeSchedulerConfiguration: which plugins take part in what, and their arguments.
public struct SchedulerProfile: Sendable {
  /// Pods choose the profile by `spec.schedulerName`.
  public var schedulerName = "default-scheduler"
  var enabled: [Point: [(name: String, weight: Int64)]]
  var fit = ScoringStrategy()
  var ignoredResources: Set<String> = []
  var ignoredGroups: Set<String> = []
  var balanced = [ScoringStrategy.Weighted(name: "cpu"), ScoringStrategy.Weighted(name: "memory")]
  var addedAffinity: API.NodeAffinity?
  /// Nil: the built-in ones.
  var defaultConstraints: [TopologySpreadConstraint]?
  var hardPodAffinityWeight: Int64 = 1
  var ignoresPreferencesOfOthers = false
  var minCandidatesPercentage = 10
  var minCandidatesAbsolute = 100
  var bindTimeoutSeconds: Int64 = 600

  /// Where plugins take part, by their names in the configuration.
  enum Point: String, CaseIterable, Sendable {
    case preEnqueue, queueSort, preFilter, filter, postFilter, preScore, score, reserve, permit, preBind, bind, postBind
  }

  /// Every plugin of v1.36 with the weight it has by default, in upstream's order.
  static let known: [(name: String, weight: Int64)] = [
    ("SchedulingGates", 0), ("PrioritySort", 0), ("NodeUnschedulable", 0), ("NodeName", 0), ("TaintToleration", 3),
    ("NodeAffinity", 2), ("NodePorts", 0), ("NodeResourcesFit", 1), ("VolumeRestrictions", 0),
    ("NodeVolumeLimits", 0), ("VolumeBinding", 0), ("VolumeZone", 0), ("PodTopologySpread", 2),
    ("InterPodAffinity", 2), ("DynamicResources", 0), ("DefaultPreemption", 0),
    ("NodeResourcesBalancedAllocation", 1), ("ImageLocality", 1), ("DefaultBinder", 0),
  ]

  /// The default profile.
  public init() {
    enabled = Dictionary(uniqueKeysWithValues: Point.allCases.map { ($0, Self.known) })
  }

  /// A profile as a configuration file has it.
  public init(_ value: JSONValue, path: String = "profiles[0]") throws {
    self.init()
    if let name = value["schedulerName"]?.stringValue, !name.isEmpty { schedulerName = name }
    try choose(value["plugins"], path: "\(path).plugins")
    for (index, entry) in (value["pluginConfig"]?.arrayValue ?? []).enumerated() {
      try configure(entry, path: "\(path).pluginConfig[\(index)]")
    }
  }

  /// The profiles of a configuration file; without any, the default one.
  ///
  /// - Throws: `SchedulerConfigurationError` for an unknown plugin, an argument out of range or a name given twice.
  public static func profiles(_ value: JSONValue?) throws -> [SchedulerProfile] {
    let given = value?.arrayValue ?? []
    if given.isEmpty { return [SchedulerProfile()] }
    var result: [SchedulerProfile] = []
    for (index, entry) in given.enumerated() {
      let path = "profiles[\(index)]"
      guard entry["schedulerName"]?.stringValue?.isEmpty == false || given.count == 1 else {
        throw SchedulerConfigurationError(description: "\(path).schedulerName: Required value")
      }
      let profile = try SchedulerProfile(entry, path: path)
      if result.contains(where: { $0.schedulerName == profile.schedulerName }) {
        throw SchedulerConfigurationError(
          description: "\(path).schedulerName: Duplicate value: \"\(profile.schedulerName)\"")
      }
      result.append(profile)
    }
    return result
  }

  private mutating func choose(_ plugins: JSONValue?, path: String) throws {
    guard let plugins else { return }
    func names(_ value: JSONValue?, _ field: String) throws -> [(name: String, weight: Int64)] {
      try (value?.arrayValue ?? []).map { entry in
        let name = entry["name"]?.stringValue ?? ""
        guard name == "*" || Self.known.contains(where: { $0.name == name }) else {
          throw SchedulerConfigurationError(description: "\(field): plugin \"\(name)\" does not exist")
        }
        return (name, entry["weight"]?.intValue ?? 0)
      }
    }
    func apply(_ set: JSONValue?, _ list: [(name: String, weight: Int64)], _ field: String) throws
      -> [(name: String, weight: Int64)]
    {
      let off = Set(try names(set?["disabled"], "\(field).disabled").map(\.name))
      var result = list.filter { !off.contains("*") && !off.contains($0.name) }
      for (name, weight) in try names(set?["enabled"], "\(field).enabled") {
        let usual = Self.known.first { $0.name == name }?.weight ?? 0
        let entry = (name: name, weight: weight != 0 ? weight : max(usual, usual == 0 ? 0 : 1))
        if let index = result.firstIndex(where: { $0.name == name }) {
          result[index] = entry
        } else {
          result.append(entry)
        }
      }
      return result
    }
    let base = try apply(plugins["multiPoint"], Self.known, "\(path).multiPoint")
    for point in Point.allCases {
      enabled[point] = try apply(plugins[point.rawValue], base, "\(path).\(point.rawValue)")
    }
  }

  private mutating func configure(_ entry: JSONValue, path: String) throws {
    guard let name = entry["name"]?.stringValue, let args = entry["args"] else { return }
    func wrong(_ field: String, _ what: String) -> SchedulerConfigurationError {
      SchedulerConfigurationError(description: "\(path).args.\(field): \(what)")
    }
    func number(_ field: String, _ range: ClosedRange<Int64>, _ standard: Int64) throws -> Int64 {
      guard let value = args[field]?.intValue else { return standard }
      guard range.contains(value) else {
        throw wrong(field, "Invalid value: \(value): not in valid range [\(range.lowerBound), \(range.upperBound)]")
      }
      return value
    }
    func strings(_ field: String) -> Set<String> {
      Set((args[field]?.arrayValue ?? []).compactMap(\.stringValue))
    }
    switch name {
    case "NodeResourcesFit":
      ignoredResources = strings("ignoredResources")
      ignoredGroups = strings("ignoredResourceGroups")
      if let strategy = args["scoringStrategy"] {
        fit = try ScoringStrategy(strategy, path: "\(path).args.scoringStrategy")
      }
    case "NodeResourcesBalancedAllocation":
      if let resources = args["resources"]?.arrayValue {
        balanced = try resources.map { try ScoringStrategy.Weighted($0, path: "\(path).args.resources") }
      }
    case "NodeAffinity":
      if let added = args["addedAffinity"] { addedAffinity = try API.NodeAffinity.decode(added.encoded()) }
    case "PodTopologySpread":
      let given = args["defaultConstraints"]?.arrayValue ?? []
      switch args["defaultingType"]?.stringValue ?? (given.isEmpty ? "System" : "List") {
      case "System":
        guard given.isEmpty else {
          throw wrong("defaultingType", "Invalid value: \"System\": when .defaultConstraints are not empty")
        }
        defaultConstraints = nil
      case "List":
        defaultConstraints = try given.map { try TopologySpreadConstraint.decode($0.encoded()) }
        if defaultConstraints?.contains(where: { $0.labelSelector != nil }) ?? false {
          throw wrong(
            "defaultConstraints", "Forbidden: constraint must not define a selector, as they deduced for each pod")
        }
      case let other:
        throw wrong("defaultingType", "Unsupported value: \"\(other)\": supported values: \"System\", \"List\"")
      }
    case "InterPodAffinity":
      hardPodAffinityWeight = try number("hardPodAffinityWeight", 0...100, 1)
      ignoresPreferencesOfOthers = args["ignorePreferredTermsOfExistingPods"] == .bool(true)
    case "DefaultPreemption":
      minCandidatesPercentage = Int(try number("minCandidateNodesPercentage", 0...100, 10))
      minCandidatesAbsolute = Int(try number("minCandidateNodesAbsolute", 0...Int64(Int32.max), 100))
      if minCandidatesPercentage == 0 && minCandidatesAbsolute == 0 {
        throw wrong("minCandidateNodesPercentage", "cannot be zero at the same time as minCandidateNodesAbsolute")
      }
    case "VolumeBinding": bindTimeoutSeconds = try number("bindTimeoutSeconds", 0...Int64.max, 600)
    case "DynamicResources": break
    default: throw SchedulerConfigurationError(description: "\(path).name: plugin \"\(name)\" takes no arguments here")
    }
  }

  /// The plugins that decide, made for this profile.
  func framework() -> Framework {
    func at(_ point: Point) -> [(name: String, weight: Int64)] { enabled[point] ?? [] }
    func has(_ point: Point, _ name: String) -> Bool { at(point).contains { $0.name == name } }
    func weight(_ name: String) -> Int64 { at(.score).first { $0.name == name }?.weight ?? 0 }
    let affinity = NodeAffinity(weight: max(1, weight("NodeAffinity")), added: addedAffinity)
    let fits = NodeResourcesFit(
      weight: weight("NodeResourcesFit"), strategy: fit, ignored: ignoredResources, ignoredGroups: ignoredGroups)
    let filters: [any FilterPlugin] = [
      NodeUnschedulable(), NodeName(), TaintToleration(), affinity, NodePorts(), fits,
    ]
    let scores: [any ScorePlugin] = [
      TaintToleration(weight: weight("TaintToleration")), affinity, fits,
      NodeResourcesBalancedAllocation(weight: weight("NodeResourcesBalancedAllocation"), resources: balanced),
    ]
    var framework = Framework(
      preEnqueue: has(.preEnqueue, "SchedulingGates") ? [SchedulingGates()] : [],
      filter: filters.filter { has(.filter, $0.name) },
      score: scores.filter { has(.score, $0.name) && weight($0.name) > 0 })
    framework.spreadFilters = has(.filter, "PodTopologySpread")
    framework.affinityFilters = has(.filter, "InterPodAffinity")
    framework.spreadWeight = weight("PodTopologySpread")
    framework.affinityWeight = weight("InterPodAffinity")
    framework.images = weight("ImageLocality") > 0 ? ImageLocality(weight: weight("ImageLocality")) : nil
    framework.preempts = has(.postFilter, "DefaultPreemption")
    framework.minCandidatesPercentage = minCandidatesPercentage
    framework.minCandidatesAbsolute = minCandidatesAbsolute
    framework.hardPodAffinityWeight = hardPodAffinityWeight
    framework.ignoresPreferencesOfOthers = ignoresPreferencesOfOthers
    framework.defaultConstraints = defaultConstraints
    return framework
  }
}
