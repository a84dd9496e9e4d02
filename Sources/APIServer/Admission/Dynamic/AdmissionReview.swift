import API
import APIMachinery
import APIMeta

/// The question that a webhook gets and the answer it gives (admission.k8s.io v1 and v1beta1).
struct AdmissionReview {
  let apiVersion: String
  let uid = Identifiers.uid()
  let view: AdmissionView

  /// What a webhook says.
  struct Answer {
    var allowed: Bool
    var result: JSONValue?
    var patch: JSONValue?
    var warnings: [String]
    var annotations: [String: String]
  }

  /// Why an answer is none.
  struct Malformed: Error, CustomStringConvertible {
    var description: String
  }

  init(_ view: AdmissionView, versions: [String]) throws {
    guard let version = versions.first(where: { $0 == "v1" || $0 == "v1beta1" }) else {
      throw Malformed(description: "webhook does not accept known AdmissionReview versions (v1, v1beta1)")
    }
    apiVersion = "admission.k8s.io/" + version
    self.view = view
  }

  var body: JSONValue {
    .object([
      "apiVersion": .string(apiVersion), "kind": .string("AdmissionReview"),
      "request": .object(Self.request(view, uid: uid)),
    ])
  }

  /// The fields of an AdmissionRequest.
  static func request(_ view: AdmissionView, uid: String) -> [String: JSONValue] {
    func kind(_ kind: GroupVersionKind) -> JSONValue {
      .object(["group": .string(kind.group), "version": .string(kind.version), "kind": .string(kind.kind)])
    }
    func resource(_ resource: ServedResource) -> JSONValue {
      .object([
        "group": .string(resource.info.group), "version": .string(resource.info.version),
        "resource": .string(resource.info.resource),
      ])
    }
    var fields: [String: JSONValue] = [
      "uid": .string(uid), "kind": kind(view.kind), "resource": resource(view.served),
      "requestKind": kind(view.requestedKind), "requestResource": resource(view.requested),
      "operation": .string(view.operation.rawValue), "userInfo": user(view.user),
      "object": view.object ?? .null, "oldObject": view.old ?? .null, "dryRun": .bool(view.dryRun),
      "options": view.options,
    ]
    if !view.subresource.isEmpty {
      fields["subResource"] = .string(view.subresource)
      fields["requestSubResource"] = .string(view.subresource)
    }
    if !view.name.isEmpty { fields["name"] = .string(view.name) }
    if !view.namespace.isEmpty { fields["namespace"] = .string(view.namespace) }
    return fields
  }

  static func user(_ user: UserInfo) -> JSONValue {
    var fields: [String: JSONValue] = [:]
    if !user.name.isEmpty { fields["username"] = .string(user.name) }
    if !user.uid.isEmpty { fields["uid"] = .string(user.uid) }
    if !user.groups.isEmpty { fields["groups"] = .array(user.groups.map { .string($0) }) }
    if !user.extra.isEmpty {
      fields["extra"] = .object(user.extra.mapValues { .array($0.map { .string($0) }) })
    }
    return .object(fields)
  }

  /// Reads an answer. Throws `Malformed`.
  func answer(_ tree: JSONValue, mayPatch: Bool) throws -> Answer {
    guard tree["kind"]?.stringValue == "AdmissionReview", tree["apiVersion"]?.stringValue == apiVersion else {
      let got = "\(tree["apiVersion"]?.stringValue ?? ""), Kind=\(tree["kind"]?.stringValue ?? "")"
      throw Malformed(
        description: "expected webhook response of \(apiVersion), Kind=AdmissionReview, got \(got)")
    }
    guard let response = tree["response"], response.objectValue != nil else {
      throw Malformed(description: "webhook response was absent")
    }
    let got = response["uid"]?.stringValue ?? ""
    // The older version let the uid be left out.
    if got != uid, apiVersion.hasSuffix("/v1") || !got.isEmpty {
      throw Malformed(description: "expected response.uid=\(goQuoted(uid)), got \(goQuoted(got))")
    }
    var answer = Answer(
      allowed: response["allowed"] == .bool(true), result: response["status"], patch: nil,
      warnings: (response["warnings"]?.arrayValue ?? []).compactMap(\.stringValue),
      annotations: (response["auditAnnotations"]?.objectValue ?? [:]).compactMapValues(\.stringValue))
    let text = response["patch"]?.stringValue ?? ""
    let type = response["patchType"]?.stringValue ?? ""
    guard mayPatch else {
      if apiVersion.hasSuffix("/v1") {
        if !text.isEmpty { throw Malformed(description: "validating webhook may not return response.patch") }
        if !type.isEmpty { throw Malformed(description: "validating webhook may not return response.patchType") }
      }
      return answer
    }
    if text.isEmpty {
      if !type.isEmpty, apiVersion.hasSuffix("/v1") {
        throw Malformed(description: "webhook returned response.patchType but not response.patch")
      }
      return answer
    }
    guard type == "JSONPatch" || (type.isEmpty && apiVersion.hasSuffix("beta1")) else {
      throw Malformed(
        description: type.isEmpty
          ? "webhook returned response.patch but not response.patchType"
          : "webhook returned invalid response.patchType of \(goQuoted(type))")
    }
    guard let bytes = Base64Bytes(base64: text)?.bytes, let patch = try? JSONValue(parsing: bytes) else {
      throw Malformed(description: "response.patch is not a JSON patch")
    }
    answer.patch = patch
    return answer
  }

  /// The refusal that a client gets.
  static func refusal(_ webhook: String, _ result: JSONValue?) -> StatusError {
    let denied = "admission webhook \(goQuoted(webhook)) denied the request"
    var status = result?.objectValue ?? [:]
    let message = status["message"]?.stringValue ?? ""
    let reason = status["reason"]?.stringValue ?? ""
    let why = message.isEmpty ? reason : message
    let code = max(400, Int(status["code"]?.intValue ?? 0))
    status["code"] = .int(Int64(code))
    status["status"] = .string("Failure")
    status["message"] = .string(why.isEmpty ? denied + " without explanation" : "\(denied): \(why)")
    status["kind"] = .string("Status")
    return StatusError(decoding: JSONValue.object(status).encoded(), httpCode: code)
  }
}
