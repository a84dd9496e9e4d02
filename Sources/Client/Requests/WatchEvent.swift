public import API
public import APIMachinery

/// One event of a watch.
public enum WatchEvent<T: APIObject>: Sendable {
  /// An object that was not there (or not selected) before.
  case added(T)
  /// An object that changed.
  case modified(T)
  /// The last state of an object that went away (or is no longer selected).
  case deleted(T)
  /// Everything up to that version has been sent. `initialEventsEnd` closes the objects of `sendInitialEvents`.
  case bookmark(resourceVersion: String, initialEventsEnd: Bool)
  /// The watch failed; nothing follows.
  case error(StatusError)
}

extension WatchEvent: JSONDecodable {
  public init(from reader: inout JSONReader) throws {
    var type = ""
    var event: WatchEvent?
    var pending: JSONValue?
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("type") {
        type = try reader.string()
      } else if key.equals("object") {
        switch type {
        case "ADDED": event = .added(try T(from: &reader))
        case "MODIFIED": event = .modified(try T(from: &reader))
        case "DELETED": event = .deleted(try T(from: &reader))
        default: pending = try reader.value()
        }
      } else {
        _ = try reader.skipValue()
      }
    }
    if let event {
      self = event
    } else {
      self = try Self.make(type: type, object: pending ?? .null)
    }
  }

  /// Bookmarks, errors, and the rare server that writes the object before the type.
  private static func make(type: String, object: JSONValue) throws -> WatchEvent {
    switch type {
    case "BOOKMARK":
      let metadata = object["metadata"]
      return .bookmark(
        resourceVersion: metadata?["resourceVersion"]?.stringValue ?? "",
        initialEventsEnd: metadata?["annotations"]?["k8s.io/initial-events-end"]?.stringValue == "true")
    case "ERROR":
      let code = object["code"]?.intValue ?? 500
      return .error(StatusError(decoding: object.encoded(), httpCode: Int(code)))
    case "ADDED": return .added(try T.decode(object.encoded()))
    case "MODIFIED": return .modified(try T.decode(object.encoded()))
    case "DELETED": return .deleted(try T.decode(object.encoded()))
    default: throw JSONError(message: "unknown watch event type \"\(type)\"", offset: 0)
    }
  }
}
