import APIMachinery
import Storage

/// One stored object as the cache holds it: its bytes and what selectors and lists need of its metadata.
final class CachedObject: Sendable {
  /// `namespace/name`, or `name` for a cluster-scoped resource.
  let key: String
  let namespace: String
  let name: String
  let uid: String
  /// Stored form: starts with `{"metadata":{`, without apiVersion, kind and resourceVersion.
  let bytes: [UInt8]
  let labels: [String: String]
  let revision: Revision
  let deleting: Bool
  /// The value of the resource's one indexed field (`spec.nodeName` of pods).
  let indexed: String?

  init(key: String, bytes: [UInt8], revision: Revision, index: [StaticString]?) {
    self.key = key
    self.bytes = bytes
    self.revision = revision
    if let slash = key.utf8.firstIndex(of: UInt8(ascii: "/")) {
      namespace = String(key[..<slash])
      name = String(key[key.utf8.index(after: slash)...])
    } else {
      namespace = ""
      name = key
    }
    // What is stored was written by this server, so a scan can only fail on a damaged store; the object is
    // then served as it stands, without labels.
    let scan = try? ObjectScan(bytes)
    labels = scan?.labels ?? [:]
    uid = scan?.uid ?? ""
    deleting = scan?.hasDeletionTimestamp ?? false
    indexed = index.flatMap { path in ObjectScan.field(path: path, in: bytes) }
  }

  /// A deleted object as its watchers see it: the last state under the revision of the deletion.
  init(deleted old: CachedObject, revision: Revision) {
    key = old.key
    namespace = old.namespace
    name = old.name
    uid = old.uid
    bytes = old.bytes
    labels = old.labels
    deleting = old.deleting
    indexed = old.indexed
    self.revision = revision
  }

  /// The same object with other content.
  init(_ other: CachedObject, bytes: [UInt8]) {
    key = other.key
    namespace = other.namespace
    name = other.name
    uid = other.uid
    labels = other.labels
    revision = other.revision
    deleting = other.deleting
    indexed = other.indexed
    self.bytes = bytes
  }

  /// Where the stored bytes go on after `{"metadata":{`.
  var tail: ArraySlice<UInt8> { bytes[13...] }

  /// `"resourceVersion":"N"` and a comma unless metadata is otherwise empty.
  /// Nothing for what was never stored (a dry run).
  func versionField() -> String {
    if revision == 0 { return "" }
    return bytes.count > 13 && bytes[13] == UInt8(ascii: "}")
      ? "\"resourceVersion\":\"\(revision)\"" : "\"resourceVersion\":\"\(revision)\","
  }

  /// As `versionField`, into a buffer.
  func appendVersionField(to out: inout [UInt8]) {
    if revision == 0 { return }
    out.append(contentsOf: "\"resourceVersion\":\"".utf8)
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
      var rest = revision, at = 20
      repeat {
        at -= 1
        digits[at] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest > 0
      out.append(contentsOf: digits[at...])
    }
    out.append(UInt8(ascii: "\""))
    if !(bytes.count > 13 && bytes[13] == UInt8(ascii: "}")) { out.append(UInt8(ascii: ",")) }
  }

  /// The served form, with type.
  func served(_ header: String) -> [UInt8] {
    var out: [UInt8] = []
    let version = versionField()
    out.reserveCapacity(bytes.count + header.utf8.count + version.utf8.count)
    out.append(contentsOf: header.utf8)
    out.append(contentsOf: version.utf8)
    out.append(contentsOf: tail)
    return out
  }

  /// The whole object as a list item shows it (built-in kinds: without type).
  func appendItem(to out: inout [UInt8], header: String) {
    out.append(contentsOf: header.utf8)
    appendVersionField(to: &out)
    out.append(contentsOf: tail)
  }
}

/// What a reader of a collection asked for.
struct Predicate: Sendable {
  var namespace = ""
  var name: String?
  var labels: Labels.Selector = .everything
  var fields: [FieldMatch] = []
  var matchesEverything: Bool { labels.isEmpty && fields.isEmpty && name == nil }

  /// One requirement on a field: how to find its value in an object, and what it must be.
  struct FieldMatch: Sendable {
    var value: @Sendable (CachedObject) -> String
    var wanted: String
    var equal: Bool
  }

  func matches(_ object: CachedObject) -> Bool {
    if !namespace.isEmpty, object.namespace != namespace { return false }
    if let name, object.name != name { return false }
    if !labels.isEmpty, !labels.matches(object.labels) { return false }
    for field in fields where (field.value(object) == field.wanted) != field.equal { return false }
    return true
  }
}
