import API
import APIMachinery
import Storage

/// The query of a list, watch or deletecollection, checked as upstream checks it.
struct ListQuery: Sendable {
  enum Match: String, Sendable {
    case exact = "Exact"
    case notOlderThan = "NotOlderThan"
  }

  var labels: Labels.Selector = .everything
  var fieldText = ""
  var fields: [(path: String, equal: Bool, value: String)] = []
  var limit = 0
  var continueToken: String?
  var resourceVersion: Revision?
  var match: Match?
  var watch = false
  var bookmarks = false
  var sendInitialEvents: Bool?
  var timeoutSeconds: Int?

  init() {}

  init(_ query: [(String, String)]) throws {
    func value(_ name: String) -> String? {
      query.first { $0.0 == name }.flatMap { $0.1.isEmpty ? nil : $0.1 }
    }
    func flag(_ name: String) -> Bool? {
      guard let item = query.first(where: { $0.0 == name }) else { return nil }
      return !(item.1 == "false" || item.1 == "0")
    }
    func number(_ name: String) throws -> Int? {
      guard let text = value(name) else { return nil }
      guard let number = Int(text) else {
        throw StatusError.badRequest("strconv.ParseInt: parsing \"\(text)\": invalid syntax")
      }
      return number
    }
    watch = flag("watch") ?? false
    bookmarks = flag("allowWatchBookmarks") ?? false
    sendInitialEvents = flag("sendInitialEvents")
    timeoutSeconds = try number("timeoutSeconds")
    limit = max(0, try number("limit") ?? 0)
    continueToken = value("continue")
    if let text = value("labelSelector") {
      do { labels = try Labels.Selector.parse(text) } catch {
        throw StatusError.badRequest("\(error)")
      }
    }
    if let text = value("fieldSelector") {
      fieldText = text
      do {
        for requirement in try Fields.Selector.parse(text).requirements {
          fields.append((requirement.path, requirement.op == .equals, requirement.value))
        }
      } catch { throw StatusError.badRequest("\(error)") }
    }
    let versionText = value("resourceVersion")
    try check(versionText, matchText: value("resourceVersionMatch"))
    if let versionText {
      guard let version = Revision(versionText) else {
        throw StatusError.badRequest(
          "invalid resource version: resourceVersion: Invalid value: \"\(versionText)\": "
            + "strconv.ParseUint: parsing \"\(versionText)\": invalid syntax")
      }
      resourceVersion = version
    }
  }

  private mutating func check(_ version: String?, matchText: String?) throws {
    var errors: [FieldError] = []
    if let matchText {
      match = Match(rawValue: matchText)
      if watch, sendInitialEvents == nil {
        errors.append(
          .forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
      }
      if !watch, version == nil {
        errors.append(
          .forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"))
      }
      if continueToken != nil {
        errors.append(
          .forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
      }
      if match == nil {
        let known = watch ? ["NotOlderThan"] : ["Exact", "NotOlderThan"]
        errors.append(.notSupported("resourceVersionMatch", matchText, known))
      } else if match == .exact, version == "0" {
        errors.append(
          .forbidden(
            "resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""))
      } else if watch, match == .exact {
        errors.append(.notSupported("resourceVersionMatch", matchText, ["NotOlderThan"]))
      }
    }
    if sendInitialEvents != nil {
      if !watch {
        errors.append(.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
      } else if matchText == nil {
        errors.append(
          .forbidden(
            "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
      }
    }
    if !errors.isEmpty {
      throw StatusError.invalid(group: "meta.k8s.io", kind: "ListOptions", name: "", errors)
    }
  }

  /// The predicate for a resource; fields that it does not support are refused.
  func predicate(_ resource: ServedResource, namespace: String) throws -> Predicate {
    var predicate = Predicate()
    predicate.namespace = resource.info.namespaced ? namespace : ""
    predicate.labels = labels
    for field in fields {
      switch field.path {
      case "metadata.name" where field.equal: predicate.name = field.value
      case "metadata.name":
        predicate.fields.append(.init(value: { $0.name }, wanted: field.value, equal: false))
      case "metadata.namespace":
        guard resource.info.namespaced else {
          throw StatusError.badRequest("field label not supported: metadata.namespace")
        }
        predicate.fields.append(.init(value: { $0.namespace }, wanted: field.value, equal: field.equal))
      default:
        if let path = resource.custom?.selectable[field.path] {
          predicate.fields.append(
            .init(
              value: { object in
                guard let tree = try? JSONValue(parsing: resource.live(object).bytes) else { return "" }
                return CustomColumns.selected(path, tree)
              }, wanted: field.value, equal: field.equal))
          continue
        }
        guard let known = resource.traits.fields[field.path] else {
          throw StatusError.badRequest("field label not supported: \(field.path)")
        }
        let indexed = resource.traits.index.map { $0.map(\.description) == known.path.map(\.description) } ?? false
        predicate.fields.append(
          .init(
            value: { object in
              if indexed { return object.indexed ?? "" }
              return readField(object.bytes, known)
            }, wanted: field.value, equal: field.equal))
      }
    }
    return predicate
  }

  /// The value that the resource's index must have, if the query asks for one.
  func indexValue(_ resource: ServedResource) -> String? {
    guard let index = resource.traits.index else { return nil }
    let path = index.map(\.description).joined(separator: ".")
    return fields.first { $0.path == path && $0.equal && !$0.value.isEmpty }?.value
  }
}

/// A selectable field of stored bytes.
private func readField(_ bytes: [UInt8], _ field: Traits.FieldPathValue) -> String {
  if let value = ObjectScan.field(path: field.path, in: bytes), !value.isEmpty { return value }
  if !field.fallback.isEmpty, let value = ObjectScan.field(path: field.fallback, in: bytes), !value.isEmpty {
    return value
  }
  return field.absent
}

/// Where a chunked list goes on.
struct ContinueToken {
  /// Nil: an inconsistent continuation, from the latest state.
  var revision: Revision?
  /// Key, relative to the collection, after which the list goes on.
  var after: String

  init(revision: Revision?, after: String) {
    self.revision = revision
    self.after = after
  }

  init(_ text: String) throws {
    guard let bytes = Base64URL.decode(text), let tree = try? JSONValue(parsing: bytes),
      tree["v"]?.stringValue == "meta.k8s.io/v1", let start = tree["start"]?.stringValue,
      let version = tree["rv"]?.intValue
    else { throw StatusError.badRequest("continue key is not valid: invalid continue token") }
    after = start.hasSuffix("\u{0}") ? String(start.dropLast()) : start
    if version == 0 {
      throw StatusError.badRequest("continue key is not valid: incorrect encoded start resourceVersion")
    }
    revision = version < 0 ? nil : Revision(version)
  }

  var text: String {
    let tree: JSONValue = .object([
      "v": .string("meta.k8s.io/v1"), "rv": .int(revision.map { Int64($0) } ?? -1),
      "start": .string(after + "\u{0}"),
    ])
    return Base64URL.encode(tree.encoded())
  }
}

/// Base 64 with the alphabet for addresses and without padding.
enum Base64URL {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  static func encode(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    var index = 0
    while index < bytes.count {
      let rest = bytes.count - index
      let word =
        UInt32(bytes[index]) << 16 | (rest > 1 ? UInt32(bytes[index + 1]) << 8 : 0)
        | (rest > 2 ? UInt32(bytes[index + 2]) : 0)
      for place in 0..<min(4, rest + 1) { out.append(alphabet[Int(word >> (18 - 6 * UInt32(place)) & 63)]) }
      index += 3
    }
    return String(decoding: out, as: UTF8.self)
  }

  static func decode(_ text: String) -> [UInt8]? {
    var out: [UInt8] = []
    var word: UInt32 = 0
    var bits = 0
    for byte in text.utf8 where byte != UInt8(ascii: "=") {
      guard let value = alphabet.firstIndex(of: byte) else { return nil }
      word = word << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        out.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
      }
    }
    return out
  }
}
