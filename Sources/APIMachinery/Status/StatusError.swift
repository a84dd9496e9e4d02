/// A request that failed, as clients see it: a metav1.Status with status "Failure".
public struct StatusError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The HTTP status.
  public var code: Int
  /// The machine-readable reason, "NotFound" and the like.
  public var reason: String
  /// The text for people.
  public var message: String
  public var details: Details?

  /// What the failure is about.
  public struct Details: Sendable, Hashable {
    public var name: String
    public var group: String
    /// The resource or kind.
    public var kind: String
    public var uid: String
    public var causes: [Cause]
    /// Zero if the client is not asked to wait.
    public var retryAfterSeconds: Int

    public init(
      name: String = "", group: String = "", kind: String = "", uid: String = "", causes: [Cause] = [],
      retryAfterSeconds: Int = 0
    ) {
      self.name = name
      self.group = group
      self.kind = kind
      self.uid = uid
      self.causes = causes
      self.retryAfterSeconds = retryAfterSeconds
    }
  }

  /// One of several reasons.
  public struct Cause: Sendable, Hashable {
    public var reason: String
    public var message: String
    public var field: String

    public init(reason: String = "", message: String = "", field: String = "") {
      self.reason = reason
      self.message = message
      self.field = field
    }
  }

  public init(code: Int, reason: String, message: String, details: Details? = nil) {
    self.code = code
    self.reason = reason
    self.message = message
    self.details = details
  }

  /// How long the client is asked to wait.
  public var retryAfterSeconds: Int? {
    get { details.flatMap { $0.retryAfterSeconds > 0 ? $0.retryAfterSeconds : nil } }
    set {
      if details == nil { details = Details() }
      details?.retryAfterSeconds = newValue ?? 0
    }
  }

  public var description: String { message }

  public var isNotFound: Bool { reason == "NotFound" }
  public var isAlreadyExists: Bool { reason == "AlreadyExists" }
  public var isConflict: Bool { reason == "Conflict" }
  public var isInvalid: Bool { reason == "Invalid" }
  public var isForbidden: Bool { reason == "Forbidden" }
  /// The resource version is too old to continue from.
  public var isExpired: Bool { reason == "Expired" || reason == "Gone" }
}

extension StatusError: JSONCodable {
  /// The Status object that a client gets.
  public func encode(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.key("kind")
    writer.string("Status")
    writer.key("apiVersion")
    writer.string("v1")
    writer.key("metadata")
    writer.beginObject()
    writer.endObject()
    writer.key("status")
    writer.string("Failure")
    put("message", message, &writer)
    put("reason", reason, &writer)
    if let details {
      writer.key("details")
      writer.beginObject()
      put("name", details.name, &writer)
      put("group", details.group, &writer)
      put("kind", details.kind, &writer)
      put("uid", details.uid, &writer)
      if !details.causes.isEmpty {
        writer.key("causes")
        writer.beginArray()
        for cause in details.causes {
          writer.beginObject()
          put("reason", cause.reason, &writer)
          put("message", cause.message, &writer)
          put("field", cause.field, &writer)
          writer.endObject()
        }
        writer.endArray()
      }
      if details.retryAfterSeconds != 0 {
        writer.key("retryAfterSeconds")
        writer.int(Int64(details.retryAfterSeconds))
      }
      writer.endObject()
    }
    writer.key("code")
    writer.int(Int64(code))
    writer.endObject()
  }

  private func put(_ name: StaticString, _ value: String, _ writer: inout JSONWriter) {
    if value.isEmpty { return }
    writer.key(name)
    writer.string(value)
  }

  public init(from reader: inout JSONReader) throws {
    self.init(tree: try reader.value())
  }

  private init(tree: JSONValue) {
    self.init(
      code: Int(tree["code"]?.intValue ?? 0), reason: tree["reason"]?.stringValue ?? "",
      message: tree["message"]?.stringValue ?? "")
    guard let d = tree["details"], case .object = d else { return }
    details = Details(
      name: d["name"]?.stringValue ?? "", group: d["group"]?.stringValue ?? "", kind: d["kind"]?.stringValue ?? "",
      uid: d["uid"]?.stringValue ?? "",
      causes: (d["causes"]?.arrayValue ?? []).map {
        Cause(
          reason: $0["reason"]?.stringValue ?? "", message: $0["message"]?.stringValue ?? "",
          field: $0["field"]?.stringValue ?? "")
      },
      retryAfterSeconds: Int(d["retryAfterSeconds"]?.intValue ?? 0))
  }

  /// What a server answered: its Status, or what the HTTP code says if the body is none.
  public init(decoding body: [UInt8], httpCode: Int) {
    if let tree = try? JSONValue(parsing: body), tree["kind"] == "Status", tree["status"] != "Success" {
      self.init(tree: tree)
      if code == 0 { code = httpCode }
      return
    }
    self = .generic(code: httpCode, body: String(decoding: body.prefix(2048), as: UTF8.self))
  }

  /// Upstream's reading of an answer that is no Status.
  static func generic(code: Int, body: String) -> StatusError {
    let (reason, message): (String, String) =
      switch code {
      case 409: ("Conflict", "the server reported a conflict")
      case 404: ("NotFound", "the server could not find the requested resource")
      case 400: ("BadRequest", "the server rejected our request for an unknown reason")
      case 401: ("Unauthorized", "the server has asked for the client to provide credentials")
      case 403: ("Forbidden", body.isEmpty ? "forbidden" : body)
      case 406: ("NotAcceptable", body.isEmpty ? "unknown" : body)
      case 415: ("UnsupportedMediaType", body.isEmpty ? "unknown" : body)
      case 405: ("MethodNotAllowed", "the server does not allow this method on the requested resource")
      case 422: ("Invalid", "the server rejected our request due to an error in our request")
      case 503: ("ServiceUnavailable", "the server is currently unable to handle the request")
      case 504: ("Timeout", "the server was unable to return a response in the time allotted")
      case 429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later")
      case 500...:
        ("InternalError", "an error on the server (\(goQuoted(body))) has prevented the request from succeeding")
      default: ("Unknown", "the server responded with the status code \(code) but did not return more information")
      }
    return StatusError(
      code: code, reason: reason, message: message,
      details: body.isEmpty ? nil : Details(causes: [Cause(reason: "UnexpectedServerResponse", message: body)]))
  }
}
