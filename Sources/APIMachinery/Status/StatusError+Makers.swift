extension StatusError {
  private static func about(_ resource: GroupResource, _ name: String) -> Details {
    Details(name: name, group: resource.group, kind: resource.resource)
  }

  /// 404
  public static func notFound(_ resource: GroupResource, _ name: String) -> StatusError {
    StatusError(
      code: 404, reason: "NotFound", message: "\(resource) \(goQuoted(name)) not found", details: about(resource, name))
  }

  /// 404 for a path that leads nowhere.
  public static var pathNotFound: StatusError {
    StatusError(
      code: 404, reason: "NotFound", message: "the server could not find the requested resource", details: Details())
  }

  /// 409
  public static func alreadyExists(_ resource: GroupResource, _ name: String) -> StatusError {
    StatusError(
      code: 409, reason: "AlreadyExists", message: "\(resource) \(goQuoted(name)) already exists",
      details: about(resource, name))
  }

  /// 409 because the object changed, or stands in the way.
  public static func conflict(_ resource: GroupResource, _ name: String, _ message: String) -> StatusError {
    StatusError(
      code: 409, reason: "Conflict",
      message: "Operation cannot be fulfilled on \(resource) \(goQuoted(name)): \(message)",
      details: about(resource, name))
  }

  /// 409 because an update's resource version is not the current one.
  public static func staleUpdate(_ resource: GroupResource, _ name: String) -> StatusError {
    conflict(
      resource, name,
      "the object has been modified; please apply your changes to the latest version and try again")
  }

  /// 422 with a cause for each field.
  public static func invalid(_ kind: GroupKind, _ name: String, _ errors: [FieldError]) -> StatusError {
    var message = "\(kind) \(goQuoted(name)) is invalid"
    var seen: Set<String> = []
    let texts = errors.map(\.message).filter { seen.insert($0).inserted }
    if texts.count == 1 { message += ": " + texts[0] }
    if texts.count > 1 { message += ": [" + texts.joined(separator: ", ") + "]" }
    let causes = errors.map { Cause(reason: $0.reason, message: $0.body, field: $0.field) }
    return StatusError(
      code: 422, reason: "Invalid", message: message,
      details: Details(name: name, group: kind.group, kind: kind.kind, causes: causes))
  }

  /// 422 with a cause for each field.
  public static func invalid(group: String, kind: String, name: String, _ errors: [FieldError]) -> StatusError {
    invalid(GroupKind(group: group, kind: kind), name, errors)
  }

  /// 400
  public static func badRequest(_ message: String) -> StatusError {
    StatusError(code: 400, reason: "BadRequest", message: message)
  }

  /// 403
  public static func forbidden(_ resource: GroupResource, _ name: String, _ message: String) -> StatusError {
    let text: String
    if resource.resource.isEmpty {
      text = "forbidden: \(message)"
    } else if name.isEmpty {
      text = "\(resource) is forbidden: \(message)"
    } else {
      text = "\(resource) \(goQuoted(name)) is forbidden: \(message)"
    }
    return StatusError(code: 403, reason: "Forbidden", message: text, details: about(resource, name))
  }

  /// 401
  public static func unauthorized(_ message: String = "Unauthorized") -> StatusError {
    StatusError(code: 401, reason: "Unauthorized", message: message.isEmpty ? "not authorized" : message)
  }

  /// 405
  public static func methodNotSupported(_ resource: GroupResource, _ action: String) -> StatusError {
    StatusError(
      code: 405, reason: "MethodNotAllowed", message: "\(action) is not supported on resources of kind \"\(resource)\"",
      details: Details(group: resource.group, kind: resource.resource))
  }

  /// 500
  public static func internalError(_ message: String) -> StatusError {
    StatusError(
      code: 500, reason: "InternalError", message: "Internal error occurred: \(message)",
      details: Details(causes: [Cause(message: message)]))
  }

  /// 410: a resource version or continue token is too old.
  public static func expired(_ message: String) -> StatusError {
    StatusError(code: 410, reason: "Expired", message: message)
  }

  /// 410
  public static func gone(_ message: String) -> StatusError {
    StatusError(code: 410, reason: "Gone", message: message)
  }

  /// 504: the asked resource version lies in the future.
  public static func tooLargeResourceVersion(_ asked: UInt64, current: UInt64, retryAfter: Int = 1) -> StatusError {
    var error = timeout("Too large resource version: \(asked), current: \(current)", retryAfter: retryAfter)
    error.details?.causes = [Cause(reason: "ResourceVersionTooLarge", message: "Too large resource version")]
    return error
  }

  /// 415
  public static func unsupportedMediaType(accepted: [String]) -> StatusError {
    StatusError(
      code: 415, reason: "UnsupportedMediaType",
      message: "the body of the request was in an unknown format - accepted media types include: "
        + accepted.joined(separator: ", "))
  }

  /// 406
  public static func notAcceptable(accepted: [String]) -> StatusError {
    StatusError(
      code: 406, reason: "NotAcceptable",
      message: "only the following media types are accepted: " + accepted.joined(separator: ", "))
  }

  /// 500: try again later.
  public static func serverTimeout(_ resource: GroupResource, _ operation: String, retryAfter: Int) -> StatusError {
    StatusError(
      code: 500, reason: "ServerTimeout",
      message: "The \(operation) operation against \(resource) could not be completed at this time, please try again.",
      details: Details(group: resource.group, kind: resource.resource, retryAfterSeconds: retryAfter))
  }

  /// 429
  public static func tooManyRequests(_ message: String, retryAfter: Int) -> StatusError {
    StatusError(
      code: 429, reason: "TooManyRequests", message: message, details: Details(retryAfterSeconds: retryAfter))
  }

  /// 504
  public static func timeout(_ message: String, retryAfter: Int = 0) -> StatusError {
    StatusError(
      code: 504, reason: "Timeout", message: "Timeout: \(message)", details: Details(retryAfterSeconds: retryAfter))
  }

  /// 503
  public static func serviceUnavailable(_ message: String) -> StatusError {
    StatusError(code: 503, reason: "ServiceUnavailable", message: message)
  }

  /// 413
  public static func requestEntityTooLarge(_ message: String) -> StatusError {
    StatusError(
      code: 413, reason: "RequestEntityTooLarge", message: "Request entity too large: \(message)")
  }
}
