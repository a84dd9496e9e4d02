import API
import APIMachinery
import HTTP

/// An answer of JSON bytes, with warnings.
func jsonResponse(_ status: Int, _ body: [UInt8], warnings: [String] = []) -> HTTPResponse {
  var response = HTTPResponse(status: status, body: .bytes(body))
  response.headers.add("content-type", "application/json")
  response.headers.add("cache-control", "no-cache, private")
  addWarnings(warnings, to: &response)
  return response
}

func addWarnings(_ warnings: [String], to response: inout HTTPResponse) {
  for warning in warnings {
    response.headers.add("warning", "299 - \(goQuoted(warning))")
  }
}

/// Any error as a Status answer.
func errorResponse(_ error: any Error) -> HTTPResponse {
  if let expired = error as? ExpiredContinue { return jsonResponse(410, expired.body) }
  let status = StatusError(of: error)
  var response = jsonResponse(status.code, status.encoded())
  if let seconds = status.retryAfterSeconds, seconds > 0 { response.headers.add("retry-after", String(seconds)) }
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
