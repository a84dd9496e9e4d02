public import API

extension DeleteOptions {
  /// Delete the object now and its dependents later.
  public static var background: DeleteOptions { propagation("Background") }
  /// Delete the dependents first.
  public static var foreground: DeleteOptions { propagation("Foreground") }
  /// Leave the dependents alone.
  public static var orphan: DeleteOptions { propagation("Orphan") }

  /// Delete only that incarnation of the object.
  public static func uid(_ uid: String) -> DeleteOptions {
    var options = DeleteOptions()
    options.preconditions = Preconditions()
    options.preconditions?.uid = uid
    return options
  }

  /// Delete with that many seconds of grace.
  public static func grace(seconds: Int64) -> DeleteOptions {
    var options = DeleteOptions()
    options.gracePeriodSeconds = seconds
    return options
  }

  private static func propagation(_ policy: String) -> DeleteOptions {
    var options = DeleteOptions()
    options.propagationPolicy = policy
    return options
  }
}

/// A change to send with PATCH.
public enum Patch: Sendable {
  /// RFC 7386.
  case merge([UInt8])
  /// The merge that knows the lists' merge keys.
  case strategic([UInt8])
  /// RFC 6902.
  case json([UInt8])
  /// Server-side apply: the object as its manager wants it.
  case apply([UInt8], fieldManager: String, force: Bool)

  var contentType: String {
    switch self {
    case .merge: "application/merge-patch+json"
    case .strategic: "application/strategic-merge-patch+json"
    case .json: "application/json-patch+json"
    case .apply: "application/apply-patch+yaml"
    }
  }

  var body: [UInt8] {
    switch self {
    case .merge(let bytes), .strategic(let bytes), .json(let bytes), .apply(let bytes, _, _): bytes
    }
  }

  var query: String {
    guard case .apply(_, let manager, let force) = self else { return "" }
    var query = QueryBuilder()
    query.add("fieldManager", manager)
    if force { query.add("force", "true") }
    return query.text
  }
}
