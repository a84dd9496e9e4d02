import APISchema
import HTTP

/// The documents of the resources that a server serves by default, as the server asks for them.
final class OpenAPIDocuments: Sendable {
  private let service: OpenAPIService

  init(version: ServerVersion, resources: [ResourceInfo] = builtInResources) {
    service = OpenAPIService(
      resources: resources.filter(\.enabledByDefault), schema: builtInSchema, version: version.gitVersion)
  }

  var paths: [String] { service.paths }

  func answer(path: String, query: [(String, String)], headers: HTTPFields) -> HTTPResponse? {
    let accept = headers.values("accept").joined(separator: ",")
    return service.respond(path: path, accept: accept, query: query, headers: headers)
  }
}
