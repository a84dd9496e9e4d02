import APIMachinery
import HTTP
import Protobuf
import Synchronization

/// What is written down about one request while it is answered.
final class AuditRecord: Sendable {
  let id: String
  let decision: AuditPolicy.Decision
  private let uri: String
  private let agent: String
  private let sources: [String]
  private let user: UserInfo
  private let impersonated: UserInfo?
  private let info: RequestInfo
  private let received = MicroTime.now
  private let parts = Mutex(Parts())

  private struct Parts: Sendable {
    var annotations: [String: String] = [:]
    var request: JSONValue?
    var response: JSONValue?
  }

  init(
    id: String, _ decision: AuditPolicy.Decision, _ head: HTTPRequestHead, _ info: RequestInfo, user: UserInfo,
    impersonated: UserInfo?
  ) {
    self.id = id
    self.decision = decision
    self.info = info
    self.user = user
    self.impersonated = impersonated
    uri = head.rawTarget
    agent = head.headers["user-agent"] ?? ""
    let forwarded = head.headers.elements("x-forwarded-for")
    sources = forwarded + (forwarded.contains(head.remoteAddress) ? [] : [head.remoteAddress])
  }

  var wantsRequest: Bool { decision.level >= .request }
  var wantsResponse: Bool { decision.level >= .requestResponse }

  func annotate(_ key: String, _ value: String) {
    // What was said first stands, as upstream has it.
    parts.withLock { if $0.annotations[key] == nil { $0.annotations[key] = value } }
  }

  /// Keeps the object that was sent.
  func sent(_ json: @autoclosure () -> [UInt8]?) {
    guard wantsRequest, let bytes = json(), let tree = try? JSONValue(parsing: bytes) else { return }
    parts.withLock { $0.request = tree }
  }

  /// Keeps the object that is answered.
  func answered(_ response: HTTPResponse) {
    // Of a refusal the reason is always kept.
    guard wantsResponse || response.status >= 400, parts.withLock({ $0.response == nil }) else { return }
    let bytes: [UInt8]
    switch response.body {
    case .bytes(let whole): bytes = whole
    case .slices(let slices): bytes = slices.flatMap { $0 }
    case .none, .pull, .stream: return
    }
    var json: [UInt8]? = bytes
    if response.headers["content-type"] == KubernetesProtobuf.mediaType {
      // Objects may be kept in the form that most clients ask for.
      json = try? KubernetesProtobuf.json(bytes, default: GroupVersionKind(group: "", version: "", kind: ""))
    }
    guard let json, let tree = try? JSONValue(parsing: json) else { return }
    parts.withLock { $0.response = tree }
  }

  /// The event of a stage.
  func event(_ stage: AuditPolicy.Stage, status: Int?, message: String = "") -> JSONValue {
    let parts = parts.withLock { $0 }
    var event: [String: JSONValue] = [
      "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": .string(decision.level.rawValue),
      "auditID": .string(id), "stage": .string(stage.rawValue), "requestURI": .string(uri), "verb": .string(info.verb),
      "user": AdmissionReview.user(user), "sourceIPs": .array(sources.map { .string($0) }),
      "requestReceivedTimestamp": .string(received.description), "stageTimestamp": .string(MicroTime.now.description),
    ]
    if let impersonated { event["impersonatedUser"] = AdmissionReview.user(impersonated) }
    if !agent.isEmpty { event["userAgent"] = .string(agent) }
    if info.isResource { event["objectRef"] = reference(parts) }
    if let status, stage != .requestReceived {
      var fields: [String: JSONValue] = ["metadata": .object([:]), "code": .int(Int64(status))]
      if status >= 400 { fields["status"] = "Failure" }
      for name in ["reason", "message", "status"] {
        if status >= 400, let text = parts.response?[name], parts.response?["kind"] == "Status" { fields[name] = text }
      }
      event["responseStatus"] = .object(fields)
    }
    if stage != .requestReceived {
      if wantsRequest, let object = parts.request { event["requestObject"] = shown(object) }
      if wantsResponse, stage == .responseComplete, let object = parts.response {
        event["responseObject"] = shown(object)
      }
    }
    if !parts.annotations.isEmpty { event["annotations"] = .object(parts.annotations.mapValues { .string($0) }) }
    return .object(event)
  }

  private func reference(_ parts: Parts) -> JSONValue {
    var fields: [String: JSONValue] = ["resource": .string(info.resource), "apiVersion": .string(info.apiVersion)]
    func set(_ name: String, _ value: String) { if !value.isEmpty { fields[name] = .string(value) } }
    set("namespace", info.namespace)
    // A creation names its object in its body.
    set("name", info.name.isEmpty ? parts.request?["metadata"]?["name"]?.stringValue ?? "" : info.name)
    set("apiGroup", info.apiGroup)
    set("subresource", info.subresource)
    if info.verb != "create" {
      set("uid", parts.request?["metadata"]?["uid"]?.stringValue ?? "")
      set("resourceVersion", parts.request?["metadata"]?["resourceVersion"]?.stringValue ?? "")
    }
    return .object(fields)
  }

  private func shown(_ object: JSONValue) -> JSONValue {
    guard decision.omitManagedFields else { return object }
    func bare(_ object: JSONValue) -> JSONValue {
      var object = object
      if case .object(var metadata)? = object["metadata"] {
        metadata["managedFields"] = nil
        object["metadata"] = .object(metadata)
      }
      return object
    }
    var result = bare(object)
    if let items = object["items"]?.arrayValue { result["items"] = .array(items.map(bare)) }
    return result
  }
}
