import APIMachinery
import APISchema
import Crypto
import HTTP
import Synchronization

/// `/openapi/v3` by group version, and `/openapi/v2`, made from the tables of kinds and resources when first asked for.
final class OpenAPIDocuments: Sendable {
  private let made = Mutex<[String: [UInt8]]>([:])
  private let resources: [String: [ResourceInfo]]

  private let version: ServerVersion

  init(version: ServerVersion, resources: [ResourceInfo] = builtInResources) {
    self.version = version
    var byPath: [String: [ResourceInfo]] = [:]
    for info in resources where info.enabledByDefault {
      byPath[info.group.isEmpty ? "api/\(info.version)" : "apis/\(info.apiVersion)", default: []].append(info)
    }
    self.resources = byPath
  }

  var paths: [String] { resources.keys.map { "/openapi/v3/\($0)" } }

  func answer(path: String, query: [(String, String)], headers: HTTPFields) -> HTTPResponse? {
    switch path {
    case "/openapi/v3": return respond(document("v3") { self.index() }, headers, immutable: false)
    case "/openapi/v2":
      return respond(
        document("v2") { self.write(.v2, self.resources.values.flatMap { $0 }) }, headers,
        immutable: false)
    default:
      guard path.hasPrefix("/openapi/v3/") else { return nil }
      let key = String(path.dropFirst("/openapi/v3/".count))
      guard let list = resources[key] else { return nil }
      let hash = hash(key)
      if let asked = query.first(where: { $0.0 == "hash" })?.1, asked != hash {
        var response = HTTPResponse(status: 301)
        response.headers.add("location", "/openapi/v3/\(key)?hash=\(hash)")
        return response
      }
      let body = document("v3/\(key)") { self.write(.v3, list) }
      return respond(body, headers, immutable: query.contains { $0.0 == "hash" }, tag: hash)
    }
  }

  private func write(_ form: OpenAPIWriter.Version, _ resources: [ResourceInfo]) -> [UInt8] {
    var writer = OpenAPIWriter(version: form, gitVersion: version.gitVersion)
    return writer.document(resources)
  }

  private func document(_ key: String, _ make: () -> [UInt8]) -> [UInt8] {
    if let known = made.withLock({ $0[key] }) { return known }
    let body = make()
    made.withLock { $0[key] = body }
    return body
  }

  private func respond(_ body: [UInt8], _ headers: HTTPFields, immutable: Bool, tag: String? = nil) -> HTTPResponse {
    let etag = "\"\(tag ?? SHA512.hash(data: body).map { hex($0) }.joined().uppercased())\""
    var fields = HTTPFields()
    fields.add("etag", etag)
    fields.add("vary", "Accept-Encoding, Accept")
    if immutable { fields.add("cache-control", "public, immutable") }
    if headers.elements("if-none-match").contains(etag) { return HTTPResponse(status: 304, headers: fields) }
    fields.add("content-type", "application/json")
    return HTTPResponse(headers: fields, body: .bytes(body))
  }

  /// A document follows from the build and its name alone.
  private func hash(_ key: String) -> String {
    SHA512.hash(data: Array("\(version.gitVersion) \(key)".utf8)).map { hex($0) }.joined().uppercased()
  }

  private func index() -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("paths")
    writer.beginObject()
    for key in resources.keys.sorted() {
      writer.key(key)
      writer.beginObject()
      writer.key("serverRelativeURL")
      writer.string("/openapi/v3/\(key)?hash=\(hash(key))")
      writer.endObject()
    }
    writer.endObject()
    writer.endObject()
    return writer.bytes
  }
}
