import API
import APIMachinery
import APIMeta

/// What a delete asked for, from its body or its query.
struct DeleteRequest: Sendable {
  enum Propagation: String, Sendable {
    case orphan = "Orphan"
    case background = "Background"
    case foreground = "Foreground"
  }

  var gracePeriodSeconds: Int64?
  var uid: String?
  var resourceVersion: String?
  var propagation: Propagation?
  var orphanDependents: Bool?
  var dryRun = false

  init() {}

  init(_ registry: Registry, _ request: ResourceRequest) throws {
    var policy: String?
    var dryRuns: [String] = []
    if !request.body.isEmpty {
      let kind = GroupVersionKind(group: "", version: "v1", kind: "DeleteOptions")
      let bytes = try registry.jsonBody(request, kind: kind)
      let tree: JSONValue
      do { tree = try JSONValue(parsing: bytes) } catch {
        throw registry.unrecognized(
          kind, "couldn't get version/kind; json parse error: \(registry.message(error))", request.body)
      }
      gracePeriodSeconds = tree["gracePeriodSeconds"]?.intValue
      uid = tree["preconditions"]?["uid"]?.stringValue
      resourceVersion = tree["preconditions"]?["resourceVersion"]?.stringValue
      policy = tree["propagationPolicy"]?.stringValue
      orphanDependents = tree["orphanDependents"]?.boolValue
      dryRuns = tree["dryRun"]?.arrayValue?.compactMap(\.stringValue) ?? []
    } else {
      if let text = request.parameter("gracePeriodSeconds") {
        guard let number = Int64(text) else {
          throw StatusError.badRequest("strconv.ParseInt: parsing \"\(text)\": invalid syntax")
        }
        gracePeriodSeconds = number
      }
      policy = request.parameter("propagationPolicy")
      orphanDependents = request.parameter("orphanDependents").map { $0 == "true" || $0 == "1" }
      dryRuns = request.query.filter { $0.0 == "dryRun" }.map(\.1)
    }
    var errors: [FieldError] = []
    if let policy, !policy.isEmpty {
      propagation = Propagation(rawValue: policy)
      if propagation == nil {
        errors.append(
          .notSupported("propagationPolicy", policy, ["Foreground", "Background", "Orphan", "nil"]))
      }
    }
    if policy != nil, orphanDependents != nil {
      errors.append(
        .invalid(
          "propagationPolicy", policy ?? "", "orphanDependents and deletionPropagation cannot be both set"))
    }
    for value in dryRuns where !value.isEmpty {
      if value == "All" { dryRun = true } else { errors.append(.notSupported("dryRun", value, ["All"])) }
    }
    if !errors.isEmpty { throw StatusError.invalid(group: "meta.k8s.io", kind: "DeleteOptions", name: "", errors) }
  }

  /// The options as webhooks see them.
  var tree: JSONValue {
    var fields: [String: JSONValue] = ["kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"]
    if let gracePeriodSeconds { fields["gracePeriodSeconds"] = .int(gracePeriodSeconds) }
    if let propagation { fields["propagationPolicy"] = .string(propagation.rawValue) }
    if let orphanDependents { fields["orphanDependents"] = .bool(orphanDependents) }
    if dryRun { fields["dryRun"] = .array(["All"]) }
    var preconditions: [String: JSONValue] = [:]
    if let uid { preconditions["uid"] = .string(uid) }
    if let resourceVersion { preconditions["resourceVersion"] = .string(resourceVersion) }
    if !preconditions.isEmpty { fields["preconditions"] = .object(preconditions) }
    return .object(fields)
  }

  /// The object's finalizers once the propagation policy has had its say.
  func finalizers(_ present: [String]) -> [String] {
    let orphan = "orphan"
    let foreground = "foregroundDeletion"
    let wantsOrphan: Bool
    let wantsForeground: Bool
    if let orphanDependents {
      wantsOrphan = orphanDependents
      wantsForeground = false
    } else if let propagation {
      wantsOrphan = propagation == .orphan
      wantsForeground = propagation == .foreground
    } else {
      wantsOrphan = present.contains(orphan)
      wantsForeground = present.contains(foreground)
    }
    var result = present.filter { $0 != orphan && $0 != foreground }
    if wantsOrphan { result.append(orphan) }
    if wantsForeground { result.append(foreground) }
    return result
  }
}
