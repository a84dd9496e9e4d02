public import APIMachinery
public import APISchema
import Crypto
public import HTTP
import Synchronization

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Serves `/openapi/v2` and `/openapi/v3`.
///
/// A document is built when it is first asked for. Its tag depends on nothing but its text and is kept for good; of
/// the texts only the ones used last are kept. Building the index builds every document once, so the caller should
/// not do that on an event loop.
public struct OpenAPIService: Sendable {
  private let documents: OpenAPIBuilder
  private let cache: OpenAPICache

  /// A service for these resources, whose kinds `schema` knows.
  public init(resources: [ResourceInfo], schema: SchemaTable, version: String) {
    self.init(resources: resources, schema: schema, version: version, custom: nil)
  }

  init(resources: [ResourceInfo], schema: SchemaTable, version: String, custom: CustomOpenAPI?) {
    documents = OpenAPIBuilder(resources: resources, schema: schema, version: version, custom: custom)
    cache = OpenAPICache(capacity: 4 << 20)
  }

  /// The paths served, for the root index.
  public var paths: [String] { documents.names.map { "/openapi/v3/" + $0 } }

  /// Those of the group versions among them.
  var groupPaths: [String] { documents.names.filter { $0.hasPrefix("apis/") }.map { "/openapi/v3/" + $0 } }

  /// The answer to a GET or HEAD; nil if the path is not the service's.
  public func respond(path: String, accept: String, query: [(String, String)], headers: HTTPFields) -> HTTPResponse? {
    switch path {
    case "/openapi/v2": return version2(accept, headers)
    case "/openapi/v3", "/openapi/v3/": return index(headers)
    default:
      guard path.hasPrefix("/openapi/v3/") else { return nil }
      return document(String(path.dropFirst("/openapi/v3/".count)), accept, query, headers)
    }
  }

  private static let protobufV2 = "com.github.proto-openapi.spec.v2.v1.0+protobuf"

  private func version2(_ accept: String, _ headers: HTTPFields) -> HTTPResponse {
    for range in MediaRange.parse(accept.isEmpty ? "*/*" : accept) {
      if range.matches("application", "json") {
        return serve(cache.document("v2", build: documents.v2), "application/json", headers)
      }
      let old = "com.github.proto-openapi.spec.v2@v1.0+protobuf"
      if range.matches("application", Self.protobufV2) || range.matches("application", old) {
        let text = cache.document("v2.pb", build: documents.v2Protobuf)
        return serve(text, "application/" + Self.protobufV2, headers)
      }
    }
    return HTTPResponse(status: 406, headers: ["vary": "Accept"])
  }

  private func index(_ headers: HTTPFields) -> HTTPResponse {
    serve(cache.document("v3") { Self.index(tags) }, "application/json", headers)
  }

  /// The index of these documents, of another service's group versions, and of documents that other servers have.
  func index(with other: OpenAPIService?, _ remote: [String: String], _ headers: HTTPFields) -> HTTPResponse {
    var all = (other?.tags ?? [:]).filter { $0.key.hasPrefix("apis/") }
    all.merge(remote) { $1 }
    all.merge(tags) { $1 }
    return serve(OpenAPIText(Self.index(all)), "application/json", headers)
  }

  private var tags: [String: String] {
    var tags: [String: String] = [:]
    for name in documents.names { tags[name] = cache.tag("v3/" + name) { documents.v3(name) } }
    return tags
  }

  private static func index(_ tags: [String: String]) -> [UInt8] {
    var writer = JSONWriter(capacity: 8 << 10)
    writer.beginObject()
    writer.key("paths")
    writer.beginObject()
    for (name, tag) in tags.sorted(by: { $0.key < $1.key }) {
      writer.key(name)
      writer.beginObject()
      writer.key("serverRelativeURL")
      writer.string(url(name, tag))
      writer.endObject()
    }
    writer.endObject()
    writer.endObject()
    return writer.bytes
  }

  private static func url(_ name: String, _ tag: String) -> String { "/openapi/v3/\(name)?hash=\(tag)" }

  private func document(
    _ name: String, _ accept: String, _ query: [(String, String)], _ headers: HTTPFields
  ) -> HTTPResponse {
    let ranges = MediaRange.parse(accept.isEmpty ? "*/*" : accept)
    guard ranges.contains(where: { $0.matches("application", "json") }) else {
      return HTTPResponse(status: 406, headers: ["vary": "Accept"])
    }
    guard let text = cache.documentIfAny("v3/" + name, build: { documents.v3(name) }) else {
      return HTTPResponse(status: 404, headers: ["vary": "Accept"])
    }
    guard let hash = query.first(where: { $0.0 == "hash" })?.1, !hash.isEmpty else {
      return serve(text, "application/json", headers)
    }
    guard hash == text.tag else {
      return HTTPResponse(
        status: 301,
        headers: ["vary": "Accept", "etag": "\"\(text.tag)\"", "location": Self.url(name, text.tag)])
    }
    var response = serve(text, "application/json", headers)
    response.headers.add("cache-control", "public, immutable")
    response.headers.add("expires", Self.inAYear())
    return response
  }

  private func serve(_ text: OpenAPIText, _ type: String, _ headers: HTTPFields) -> HTTPResponse {
    let tag = "\"\(text.tag)\""
    var fields: HTTPFields = ["content-type": type, "etag": tag, "vary": "Accept"]
    if headers.elements("if-none-match").contains(where: { $0 == "*" || $0 == tag || $0 == "W/" + tag }) {
      fields.remove("content-type")
      return HTTPResponse(status: 304, headers: fields)
    }
    return HTTPResponse(headers: fields, body: .bytes(text.bytes))
  }

  private static func inAYear() -> String {
    var when = time(nil) + 365 * 86400
    var parts = tm()
    gmtime_r(&when, &parts)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ n: Int32) -> String { n < 10 ? "0\(n)" : "\(n)" }
    let date = "\(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(1900 + parts.tm_year)"
    return "\(days[Int(parts.tm_wday)]), \(date) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
  }
}

/// The text of a document and its tag.
struct OpenAPIText: Sendable {
  var bytes: [UInt8]
  /// The SHA-512 of the text in upper-case hexadecimal digits.
  var tag: String

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    let digits = Array("0123456789ABCDEF".utf8)
    var hex: [UInt8] = []
    for byte in SHA512.hash(data: bytes) { hex += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
    tag = String(decoding: hex, as: UTF8.self)
  }
}

/// Keeps every tag and the texts used last.
final class OpenAPICache: Sendable {
  private struct State {
    var tags: [String: String] = [:]
    /// The one used last stands last.
    var texts: [(name: String, text: OpenAPIText)] = []
    var size = 0
  }

  private let state = Mutex(State())
  private let capacity: Int

  init(capacity: Int) { self.capacity = capacity }

  /// How many bytes of text are kept.
  var size: Int { state.withLock { $0.size } }

  func document(_ name: String, build: () -> [UInt8]) -> OpenAPIText {
    if let known = take(name) { return known }
    return keep(name, build())
  }

  func documentIfAny(_ name: String, build: () -> [UInt8]?) -> OpenAPIText? {
    if let known = take(name) { return known }
    return build().map { keep(name, $0) }
  }

  /// The tag of a document, whose text is dropped if it had to be built.
  func tag(_ name: String, build: () -> [UInt8]?) -> String? {
    if let tag = state.withLock({ $0.tags[name] }) { return tag }
    guard let tag = build().map({ OpenAPIText($0).tag }) else { return nil }
    state.withLock { $0.tags[name] = tag }
    return tag
  }

  private func take(_ name: String) -> OpenAPIText? {
    state.withLock { state in
      guard let place = state.texts.firstIndex(where: { $0.name == name }) else { return nil }
      let entry = state.texts.remove(at: place)
      state.texts.append(entry)
      return entry.text
    }
  }

  /// Two callers may build the same document at once; the second finds the first's.
  private func keep(_ name: String, _ bytes: [UInt8]) -> OpenAPIText {
    let text = OpenAPIText(bytes)
    return state.withLock { state in
      if let known = state.texts.first(where: { $0.name == name }) { return known.text }
      state.tags[name] = text.tag
      state.texts.append((name, text))
      state.size += text.bytes.count
      while state.size > capacity, state.texts.count > 1 {
        state.size -= state.texts.removeFirst().text.bytes.count
      }
      return text
    }
  }
}
