import API
import APIMachinery
import HTTP

/// The form of answer that a client asked for.
enum Output: Sendable, Equatable {
  case object
  case table
  case partialMetadata

  /// Chooses from an Accept header, in the client's order.
  static func negotiate(_ accept: String) throws -> (output: Output, yaml: Bool) {
    if accept.isEmpty || accept == "application/json" || accept == "*/*" { return (.object, false) }
    for clause in accept.split(separator: ",") {
      var media = ""
      var parameters: [String: String] = [:]
      for (index, part) in clause.split(separator: ";").enumerated() {
        let text = part.drop { $0 == " " }
        if index == 0 {
          media = String(text.filter { $0 != " " }).lowercased()
        } else if let equals = text.firstIndex(of: "=") {
          parameters[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
      }
      let yaml = media == "application/yaml"
      guard yaml || media == "application/json" || media == "*/*" || media == "application/*" else { continue }
      guard let form = parameters["as"] else { return (.object, yaml) }
      guard parameters["g"] == "meta.k8s.io", parameters["v"] == "v1" else { continue }
      switch form {
      case "Table": return (.table, yaml)
      case "PartialObjectMetadata", "PartialObjectMetadataList": return (.partialMetadata, yaml)
      default: continue
      }
    }
    throw StatusError.notAcceptable(accepted: ["application/json", "application/yaml"])
  }
}

/// An answer of JSON bytes, with warnings.
func jsonResponse(_ status: Int, _ body: [UInt8], warnings: [String] = []) -> HTTPResponse {
  var response = HTTPResponse(status: status, body: .bytes(body))
  response.headers.add("Content-Type", "application/json")
  response.headers.add("Cache-Control", "no-cache, private")
  addWarnings(warnings, to: &response)
  return response
}

func addWarnings(_ warnings: [String], to response: inout HTTPResponse) {
  for warning in warnings {
    response.headers.add("Warning", "299 - \(goQuoted(warning))")
  }
}

/// Any error as a Status answer.
func errorResponse(_ error: any Error) -> HTTPResponse {
  if let expired = error as? ExpiredContinue { return jsonResponse(410, expired.body) }
  let status = (error as? StatusError) ?? StatusError.internalError("\(error)")
  var response = jsonResponse(status.code, status.encoded())
  if let seconds = status.retryAfterSeconds, seconds > 0 { response.headers.add("Retry-After", String(seconds)) }
  return response
}

/// The Status that a finished delete answers with.
func successStatus(_ resource: GroupResource, name: String, uid: String) -> [UInt8] {
  var writer = JSONWriter()
  writer.beginObject()
  writer.key("kind")
  writer.string("Status")
  writer.key("apiVersion")
  writer.string("v1")
  writer.key("metadata")
  writer.beginObject()
  writer.endObject()
  writer.key("status")
  writer.string("Success")
  writer.key("details")
  writer.beginObject()
  writer.key("name")
  writer.string(name)
  if !resource.group.isEmpty {
    writer.key("group")
    writer.string(resource.group)
  }
  writer.key("kind")
  writer.string(resource.resource)
  if !uid.isEmpty {
    writer.key("uid")
    writer.string(uid)
  }
  writer.endObject()
  writer.endObject()
  return writer.bytes
}
