import NIOCore
import Storage
import Synchronization

/// A change of one object, shared by every watcher of its resource.
final class CacheEvent: Sendable {
  enum Kind: String, Sendable {
    case added = "ADDED"
    case modified = "MODIFIED"
    case deleted = "DELETED"
  }

  let kind: Kind
  let object: CachedObject
  let previous: CachedObject?
  var revision: Revision { object.revision }
  var size: Int { object.bytes.count + (previous?.bytes.count ?? 0) }

  /// What has been encoded of it so far; nearly always one form.
  private let encoded = Mutex<[(header: String, kind: Kind, buffer: ByteBuffer)]>([])

  init(kind: Kind, object: CachedObject, previous: CachedObject?) {
    self.kind = kind
    self.object = object
    self.previous = previous
  }

  /// The event as a watcher with `predicate` sees it: an object that comes to match is added, one that no
  /// longer matches is deleted.
  func seen(by predicate: Predicate) -> Kind? {
    if predicate.matchesEverything {
      return predicate.namespace.isEmpty || predicate.namespace == object.namespace ? kind : nil
    }
    let now = kind != .deleted && predicate.matches(object)
    let before =
      kind == .deleted ? predicate.matches(previous ?? object) : (previous.map(predicate.matches) ?? false)
    switch (before, now) {
    case (false, true): return .added
    case (true, true): return .modified
    case (true, false): return .deleted
    case (false, false): return nil
    }
  }

  /// The object to show for `kind`: a deletion (also out of a selector) shows the last matching state
  /// under the event's revision.
  func shown(as kind: Kind) -> CachedObject {
    if kind == .deleted, self.kind != .deleted, let previous {
      return CachedObject(deleted: previous, revision: revision)
    }
    return object
  }

  /// The event as a watch sends it, made once for each form that a watcher wants. The form's name is a header of the
  /// object, or one with a mark before it.
  func encoded(as kind: Kind, form: String, _ make: (CachedObject) throws -> [UInt8]) rethrows -> ByteBuffer {
    if let known = encoded.withLock({ list in list.first { $0.kind == kind && $0.header == form } }) {
      return known.buffer
    }
    let buffer = ByteBuffer(bytes: try make(shown(as: kind)))
    encoded.withLock { $0.append((form, kind, buffer)) }
    return buffer
  }

  /// `{"type":…,"object":…}` and a line feed, encoded once for each header.
  func line(as kind: Kind, header: String) -> ByteBuffer {
    encoded(as: kind, form: header) { watchLine(type: kind.rawValue, object: $0.served(header)) }
  }
}

/// One line of a watch's answer.
func watchLine(type: String, object: some Collection<UInt8>) -> [UInt8] {
  var out: [UInt8] = []
  out.reserveCapacity(object.count + 40)
  out.append(contentsOf: "{\"type\":\"\(type)\",\"object\":".utf8)
  out.append(contentsOf: object)
  out.append(contentsOf: "}\n".utf8)
  return out
}
