import API
import APIMachinery
import HTTP
import PKI

/// Paths that are no resources.
extension APIServer {
  func answerPath(_ request: Admitted) -> HTTPResponse {
    let head = request.head
    guard head.method == "GET" || head.method == "HEAD" else {
      return errorResponse(
        StatusError(
          code: 405, reason: "MethodNotAllowed",
          message: "the server does not allow this method on the requested resource"
        ))
    }
    let path = Self.path(head)
    switch path {
    case "/", "": return jsonResponse(200, indexDocument)
    case "/version": return jsonResponse(200, version.document)
    case "/metrics":
      var response = HTTPResponse(body: .bytes(Array(metricsText().utf8)))
      response.headers.add("content-type", "text/plain; version=0.0.4; charset=utf-8")
      return response
    case "/.well-known/openid-configuration":
      guard let tokens else { break }
      return openID(tokens.openIDConfiguration(jwksURI: jwksURI), type: "application/json")
    case "/openid/v1/jwks":
      guard let keys = try? tokens?.jwks() else { break }
      return openID(keys, type: "application/jwk-set+json")
    default: break
    }
    if let page = pages.answer(path) { return page }
    if let flowControl, let dump = FlowControlDump(control: flowControl).answer(path: path, query: request.query) {
      return dump
    }
    if path == "/api" || path == "/apis" || path.hasPrefix("/api/") || path.hasPrefix("/apis/") {
      if let response = discovery.documents.answer(path: path, headers: head.headers, query: request.query) {
        return response
      }
    }
    if path.hasPrefix("/openapi/"),
      let response = openAPI.answer(path: path, query: request.query, headers: head.headers)
    {
      return response
    }
    return textResponse(404, "404 page not found\n")
  }

  /// The path without a slash at its end.
  static func path(_ head: HTTPRequestHead) -> String {
    head.path.count > 1 && head.path.hasSuffix("/") ? String(head.path.dropLast()) : head.path
  }

  private var jwksURI: String {
    let address = configuration.advertiseAddress ?? "127.0.0.1"
    let port = configuration.port == 0 ? 443 : configuration.port
    let host = address.contains(":") ? "[\(address)]" : address
    return "https://\(host):\(port)/openid/v1/jwks"
  }

  private func openID(_ body: [UInt8], type: String) -> HTTPResponse {
    var response = HTTPResponse(body: .bytes(body))
    response.headers.add("content-type", type)
    response.headers.add("cache-control", "public, max-age=3600")
    return response
  }

  private var indexDocument: [UInt8] {
    var paths = discovery.documents.paths + health.paths
    paths += [
      "/.well-known/openid-configuration", "/flagz", "/metrics", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks",
      "/statusz", "/version",
    ]
    paths += openAPI.paths
    return JSONValue.object(["paths": .array(Set(paths).sorted().map { .string($0) })]).encoded()
  }
}
