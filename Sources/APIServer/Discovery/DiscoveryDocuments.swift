import APIMachinery
import APISchema
import Crypto
import HTTP

/// `/api`, `/apis` and below, built from a table of resources.
struct DiscoveryDocuments: Sendable {
  private struct Document: Sendable {
    var body: [UInt8]
    var tag: String

    init(_ body: [UInt8]) {
      self.body = body
      tag = "\"" + SHA512.hash(data: body).prefix(32).map { hex($0) }.joined().uppercased() + "\""
    }
  }
  private var documents: [String: Document] = [:]
  private var aggregated: [String: Document] = [:]
  private static let aggregatedParameters = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

  /// The paths that the index names.
  let paths: [String]

  /// `stale` names the `group/version`s that are registered though nobody can say now what is in them, `kept` those
  /// that are there even without a resource.
  init(
    resources: [ResourceInfo] = builtInResources, groups: [GroupInfo] = builtInGroups, stale: Set<String> = [],
    kept: Set<String> = []
  ) {
    let served = resources.filter(\.enabledByDefault)
    var versionsByGroup: [String: [String]] = [:]
    for group in groups {
      versionsByGroup[group.name] = group.versions.filter { version in
        stale.contains("\(group.name)/\(version)") || kept.contains("\(group.name)/\(version)")
          || served.contains { $0.group == group.name && $0.version == version }
      }
    }
    let shown = groups.filter { !$0.name.isEmpty && !(versionsByGroup[$0.name] ?? []).isEmpty }
    documents["/api"] = Document(Self.coreVersions())
    documents["/apis"] = Document(
      Self.list("APIGroupList", "groups") { writer in
        for group in shown { Self.group(group, versionsByGroup[group.name] ?? [], typed: false, &writer) }
      })
    var paths = ["/api", "/apis"]
    for group in groups {
      let versions = versionsByGroup[group.name] ?? []
      if !group.name.isEmpty, !versions.isEmpty {
        var writer = JSONWriter()
        Self.group(group, versions, typed: true, &writer)
        documents["/apis/\(group.name)"] = Document(writer.bytes)
        paths.append("/apis/\(group.name)")
      }
      for version in versions {
        let path = group.name.isEmpty ? "/api/\(version)" : "/apis/\(group.name)/\(version)"
        documents[path] = Document(
          Self.resourceList(served.filter { $0.group == group.name && $0.version == version }))
        paths.append(path)
      }
    }
    self.paths = paths
    let core = groups.filter { $0.name.isEmpty }
    for (path, groups) in [("/api", core), ("/apis", shown)] {
      aggregated[path] = Document(Self.aggregatedList(groups, versionsByGroup, served, stale))
    }
  }

  func answer(path: String, headers: HTTPFields, query: [(String, String)] = []) -> HTTPResponse? {
    guard var document = documents[path] else { return nil }
    let list = aggregated[path]
    guard let wanted = Self.negotiate(headers["accept"] ?? "", aggregated: list != nil) else {
      return errorResponse(ResponseForm.notAcceptable(.plain))
    }
    if let list, wanted.aggregated { document = list }
    var fields = HTTPFields()
    fields.add("content-type", "application/json")
    fields.add("cache-control", "public")
    fields.add("etag", document.tag)
    fields.add("vary", "Accept")
    if headers.elements("if-none-match").contains(document.tag) {
      // A cache takes these fields for those of what it kept.
      fields["content-type"] = wanted.media.rawValue + (wanted.aggregated ? Self.aggregatedParameters : "")
      return HTTPResponse(status: 304, headers: fields)
    }
    var form = ResponseForm(media: wanted.media)
    form.pretty = ResponseForm.wantsPretty(query, headers)
    var response = encoded(HTTPResponse(headers: fields, body: .bytes(document.body)), as: form, headers)
    if wanted.aggregated, let media = response.headers["content-type"] {
      response.headers["content-type"] = media + Self.aggregatedParameters
    }
    return response
  }

  /// The first media type of the client's list that is served decides; nil if none is.
  private static func negotiate(_ accept: String, aggregated: Bool) -> (media: ResponseMedia, aggregated: Bool)? {
    if accept.isEmpty { return (.json, false) }
    for clause in AcceptClause.parse(accept) {
      for media in ResponseMedia.allCases where clause.matches(media) {
        guard let kind = clause.parameter("as") else { return (media, false) }
        if aggregated, kind == "APIGroupDiscoveryList", clause.parameter("g") == "apidiscovery.k8s.io",
          clause.parameter("v") == "v2"
        {
          return (media, true)
        }
      }
    }
    return nil
  }

  // MARK: Documents

  private static func head(_ kind: String, _ apiVersion: String, _ writer: inout JSONWriter) {
    writer.beginObject()
    writer.key("kind")
    writer.string(kind)
    writer.key("apiVersion")
    writer.string(apiVersion)
  }

  private static func list(_ kind: String, _ field: String, _ body: (inout JSONWriter) -> Void) -> [UInt8] {
    var writer = JSONWriter()
    head(kind, "v1", &writer)
    writer.key(field)
    writer.beginArray()
    body(&writer)
    writer.endArray()
    writer.endObject()
    return writer.bytes
  }

  private static func coreVersions() -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("kind")
    writer.string("APIVersions")
    writer.key("versions")
    writer.raw(#"["v1"]"#.utf8)
    writer.key("serverAddressByClientCIDRs")
    writer.raw("[]".utf8)
    writer.endObject()
    return writer.bytes
  }

  private static func group(_ group: GroupInfo, _ versions: [String], typed: Bool, _ writer: inout JSONWriter) {
    func entry(_ version: String) {
      writer.beginObject()
      writer.key("groupVersion")
      writer.string("\(group.name)/\(version)")
      writer.key("version")
      writer.string(version)
      writer.endObject()
    }
    if typed { head("APIGroup", "v1", &writer) } else { writer.beginObject() }
    writer.key("name")
    writer.string(group.name)
    writer.key("versions")
    writer.beginArray()
    for version in versions { entry(version) }
    writer.endArray()
    writer.key("preferredVersion")
    entry(versions.contains(group.preferred) ? group.preferred : versions.first ?? "")
    writer.endObject()
  }

  private static func strings(_ key: String, _ values: [String], _ writer: inout JSONWriter) {
    writer.key(key)
    writer.beginArray()
    for value in values { writer.string(value) }
    writer.endArray()
  }

  /// Upstream's hash of the version that objects are stored in; clients compare it and nothing else.
  static func storageVersionHash(_ info: ResourceInfo) -> String? {
    guard !info.storageVersion.isEmpty else { return nil }
    let group = info.storageGroup.isEmpty ? info.group : info.storageGroup
    let digest = SHA256.hash(data: Array("\(group)/\(info.storageVersion)/\(info.kind)".utf8))
    return base64(Array(digest.prefix(8)))
  }

  private static func resourceList(_ resources: [ResourceInfo]) -> [UInt8] {
    var writer = JSONWriter()
    head("APIResourceList", "v1", &writer)
    writer.key("groupVersion")
    writer.string(resources.first?.apiVersion ?? "")
    writer.key("resources")
    writer.beginArray()
    for info in resources.sorted(by: { $0.resource < $1.resource }) {
      writer.beginObject()
      writer.key("name")
      writer.string(info.resource)
      writer.key("singularName")
      writer.string(info.singular)
      writer.key("namespaced")
      writer.bool(info.namespaced)
      writer.key("kind")
      writer.string(info.kind)
      strings("verbs", info.verbs, &writer)
      if !info.shortNames.isEmpty { strings("shortNames", info.shortNames, &writer) }
      if !info.categories.isEmpty { strings("categories", info.categories, &writer) }
      if let hash = storageVersionHash(info) {
        writer.key("storageVersionHash")
        writer.string(hash)
      }
      writer.endObject()
      for sub in info.subresources.sorted(by: { $0.name < $1.name }) {
        writer.beginObject()
        writer.key("name")
        writer.string("\(info.resource)/\(sub.name)")
        writer.key("singularName")
        writer.string("")
        writer.key("namespaced")
        writer.bool(info.namespaced)
        if !sub.version.isEmpty, sub.group != info.group || sub.version != info.version {
          if !sub.group.isEmpty {
            writer.key("group")
            writer.string(sub.group)
          }
          writer.key("version")
          writer.string(sub.version)
        }
        writer.key("kind")
        writer.string(sub.kind)
        strings("verbs", sub.verbs, &writer)
        writer.endObject()
      }
    }
    writer.endArray()
    writer.endObject()
    return writer.bytes
  }

  private static func aggregatedList(
    _ groups: [GroupInfo], _ versions: [String: [String]], _ served: [ResourceInfo], _ stale: Set<String>
  ) -> [UInt8] {
    var writer = JSONWriter()
    head("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2", &writer)
    writer.key("metadata")
    writer.raw("{}".utf8)
    writer.key("items")
    writer.beginArray()
    for group in groups {
      writer.beginObject()
      writer.key("metadata")
      writer.beginObject()
      if !group.name.isEmpty {
        writer.key("name")
        writer.string(group.name)
      }
      writer.key("creationTimestamp")
      writer.null()
      writer.endObject()
      writer.key("versions")
      writer.beginArray()
      for version in versions[group.name] ?? [] {
        writer.beginObject()
        writer.key("version")
        writer.string(version)
        writer.key("resources")
        writer.beginArray()
        let resources = served.filter { $0.group == group.name && $0.version == version }
        for info in resources.sorted(by: { $0.resource < $1.resource }) { aggregatedResource(info, &writer) }
        writer.endArray()
        writer.key("freshness")
        writer.string(stale.contains("\(group.name)/\(version)") ? "Stale" : "Current")
        writer.endObject()
      }
      writer.endArray()
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    return writer.bytes
  }

  private static func kind(_ group: String, _ version: String, _ kind: String, _ writer: inout JSONWriter) {
    writer.key("responseKind")
    writer.beginObject()
    writer.key("group")
    writer.string(group)
    writer.key("version")
    writer.string(version)
    writer.key("kind")
    writer.string(kind)
    writer.endObject()
  }

  private static func aggregatedResource(_ info: ResourceInfo, _ writer: inout JSONWriter) {
    writer.beginObject()
    writer.key("resource")
    writer.string(info.resource)
    kind(info.group, info.version, info.kind, &writer)
    writer.key("scope")
    writer.string(info.namespaced ? "Namespaced" : "Cluster")
    writer.key("singularResource")
    writer.string(info.singular)
    strings("verbs", info.verbs, &writer)
    if !info.shortNames.isEmpty { strings("shortNames", info.shortNames, &writer) }
    if !info.categories.isEmpty { strings("categories", info.categories, &writer) }
    if !info.subresources.isEmpty {
      writer.key("subresources")
      writer.beginArray()
      for sub in info.subresources.sorted(by: { $0.name < $1.name }) {
        writer.beginObject()
        writer.key("subresource")
        writer.string(sub.name)
        let own = sub.version.isEmpty
        kind(own ? info.group : sub.group, own ? info.version : sub.version, sub.kind, &writer)
        strings("verbs", sub.verbs, &writer)
        writer.endObject()
      }
      writer.endArray()
    }
    writer.endObject()
  }
}

/// Two lower-case hexadecimal digits.
func hex(_ byte: UInt8) -> String {
  let text = String(byte, radix: 16)
  return text.count == 1 ? "0" + text : text
}

/// Standard base64 with padding.
func base64(_ bytes: [UInt8]) -> String {
  let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  var out: [UInt8] = []
  for start in stride(from: 0, to: bytes.count, by: 3) {
    let group = bytes[start..<min(start + 3, bytes.count)]
    var word: UInt32 = 0
    for (index, byte) in group.enumerated() { word |= UInt32(byte) << UInt32(16 - 8 * index) }
    for index in 0..<4 {
      out.append(index <= group.count ? alphabet[Int(word >> UInt32(18 - 6 * index) & 63)] : UInt8(ascii: "="))
    }
  }
  return String(decoding: out, as: UTF8.self)
}
