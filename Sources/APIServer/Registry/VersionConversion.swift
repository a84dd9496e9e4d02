import API
import APIMachinery

/// How the tree of an object in a served version differs from the one in its stored version.
struct VersionConversion: Sendable {
  var toStored: @Sendable (inout JSONValue) -> Void
  var fromStored: @Sendable (inout JSONValue) -> Void

  static func between(_ served: GroupVersionKind, stored: GroupVersionKind) -> VersionConversion? {
    guard served != stored else { return nil }
    switch (served.group, served.version, served.kind) {
    case ("events.k8s.io", _, _): return event
    case ("autoscaling", "v1", "HorizontalPodAutoscaler"): return autoscaler
    case ("resource.k8s.io", "v1beta1", "ResourceSlice"): return resourceSlice
    case ("resource.k8s.io", "v1beta1", "ResourceClaim"):
      return requests(at: ["spec", "devices", "requests"])
    case ("resource.k8s.io", "v1beta1", "ResourceClaimTemplate"):
      return requests(at: ["spec", "spec", "devices", "requests"])
    default: return nil
    }
  }

  // MARK: - Events

  private static let eventNames: [(served: String, stored: String)] = [
    ("regarding", "involvedObject"), ("note", "message"), ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"), ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"), ("reportingController", "reportingComponent"),
  ]

  private static let event = VersionConversion(
    toStored: { tree in for (served, stored) in eventNames { rename(&tree, served, stored) } },
    fromStored: { tree in
      for (served, stored) in eventNames { rename(&tree, stored, served) }
      // Core's schema always shows these two, even empty; here they are ordinary fields.
      for name in ["deprecatedFirstTimestamp", "deprecatedLastTimestamp"] where tree[name] == .null {
        tree[name] = nil
      }
    })

  private static func rename(_ tree: inout JSONValue, _ from: String, _ to: String) {
    guard case .object(var fields) = tree, let value = fields.removeValue(forKey: from) else { return }
    fields[to] = value
    tree = .object(fields)
  }

  // MARK: - autoscaling/v1

  private static let carried = "autoscaling.alpha.kubernetes.io/"

  private static let autoscaler = VersionConversion(
    toStored: { tree in
      guard case .object(var spec)? = tree["spec"] else { return }
      var metrics: [JSONValue] = []
      if let target = spec.removeValue(forKey: "targetCPUUtilizationPercentage"), target != .null {
        metrics.append(cpuMetric("target", ["type": .string("Utilization"), "averageUtilization": target]))
      }
      if let more = take(&tree, "metrics") { metrics += more.arrayValue ?? [] }
      if !metrics.isEmpty { spec["metrics"] = .array(metrics) }
      if let behavior = take(&tree, "behavior") { spec["behavior"] = behavior }
      tree["spec"] = .object(spec)
      guard case .object(var status)? = tree["status"] else { return }
      var current: [JSONValue] = []
      if let value = status.removeValue(forKey: "currentCPUUtilizationPercentage"), value != .null {
        current.append(cpuMetric("current", ["averageUtilization": value]))
      }
      if let more = take(&tree, "current-metrics") { current += more.arrayValue ?? [] }
      if !current.isEmpty { status["currentMetrics"] = .array(current) }
      if let conditions = take(&tree, "conditions") { status["conditions"] = conditions }
      tree["status"] = .object(status)
    },
    fromStored: { tree in
      if case .object(var spec)? = tree["spec"] {
        let (cpu, rest) = splitCPU(spec.removeValue(forKey: "metrics"), "target")
        spec["targetCPUUtilizationPercentage"] = cpu
        if !rest.isEmpty { put(&tree, "metrics", .array(rest)) }
        if let behavior = spec.removeValue(forKey: "behavior") { put(&tree, "behavior", behavior) }
        tree["spec"] = .object(spec)
      }
      if case .object(var status)? = tree["status"] {
        let (cpu, rest) = splitCPU(status.removeValue(forKey: "currentMetrics"), "current")
        status["currentCPUUtilizationPercentage"] = cpu
        if !rest.isEmpty { put(&tree, "current-metrics", .array(rest)) }
        if let conditions = status.removeValue(forKey: "conditions"), conditions != .null {
          put(&tree, "conditions", conditions)
        }
        tree["status"] = .object(status)
      }
    })

  private static func cpuMetric(_ field: String, _ value: [String: JSONValue]) -> JSONValue {
    .object([
      "type": .string("Resource"),
      "resource": .object(["name": .string("cpu"), field: .object(value)]),
    ])
  }

  private static func splitCPU(_ metrics: JSONValue?, _ field: String) -> (JSONValue?, [JSONValue]) {
    var cpu: JSONValue?
    var rest: [JSONValue] = []
    for metric in metrics?.arrayValue ?? [] {
      let resource = metric["resource"]
      if cpu == nil, resource?["name"]?.stringValue == "cpu",
        let value = resource?[field]?["averageUtilization"], value != .null
      {
        cpu = value
      } else {
        rest.append(metric)
      }
    }
    return (cpu, rest)
  }

  /// What version 1 has no field for travels in annotations.
  private static func put(_ tree: inout JSONValue, _ name: String, _ value: JSONValue) {
    var metadata = tree["metadata"]?.objectValue ?? [:]
    var annotations = metadata["annotations"]?.objectValue ?? [:]
    annotations[carried + name] = .string(String(decoding: value.encoded(), as: UTF8.self))
    metadata["annotations"] = .object(annotations)
    tree["metadata"] = .object(metadata)
  }

  private static func take(_ tree: inout JSONValue, _ name: String) -> JSONValue? {
    guard case .object(var metadata)? = tree["metadata"],
      case .object(var annotations)? = metadata["annotations"],
      let text = annotations.removeValue(forKey: carried + name)?.stringValue
    else { return nil }
    metadata["annotations"] = annotations.isEmpty ? nil : .object(annotations)
    tree["metadata"] = .object(metadata)
    return try? JSONValue(parsing: Array(text.utf8))
  }

  // MARK: - resource.k8s.io/v1beta1

  /// A device's content stands under `basic` there.
  private static let resourceSlice = VersionConversion(
    toStored: { tree in
      mapItems(&tree, ["spec", "devices"]) { device in
        guard let basic = device.removeValue(forKey: "basic")?.objectValue else { return }
        device.merge(basic) { own, _ in own }
      }
    },
    fromStored: { tree in
      mapItems(&tree, ["spec", "devices"]) { device in
        var basic = device
        basic["name"] = nil
        device = ["name": device["name"] ?? .string(""), "basic": .object(basic)]
      }
    })

  /// A request's content is not wrapped in `exactly` there.
  private static func requests(at path: [String]) -> VersionConversion {
    VersionConversion(
      toStored: { tree in
        mapItems(&tree, path) { request in
          if let alternatives = request["firstAvailable"]?.arrayValue, !alternatives.isEmpty { return }
          var exactly = request
          exactly["name"] = nil
          exactly["firstAvailable"] = nil
          request = ["name": request["name"] ?? .string(""), "exactly": .object(exactly)]
        }
      },
      fromStored: { tree in
        mapItems(&tree, path) { request in
          guard let exactly = request.removeValue(forKey: "exactly")?.objectValue else { return }
          request.merge(exactly) { own, _ in own }
        }
      })
  }

  private static func mapItems(
    _ tree: inout JSONValue, _ path: [String], _ change: (inout [String: JSONValue]) -> Void
  ) {
    guard let first = path.first, var child = tree[first] else { return }
    if path.count > 1 {
      mapItems(&child, Array(path.dropFirst()), change)
    } else if case .array(let items) = child {
      child = .array(
        items.map { item in
          guard case .object(var fields) = item else { return item }
          change(&fields)
          return .object(fields)
        })
    }
    tree[first] = child
  }
}
