import API
import APIMachinery
import APIMeta
import HTTP
import Validation

/// What a mutation knows of its request.
struct WriteContext: Sendable {
  let resource: ServedResource
  let request: ResourceRequest
  let options: WriteOptions
  let warnings = Warnings()
  let namespace: String
  let name: String
  let subresource: String
  let user: UserInfo
  /// Whether the server makes the change by itself: nobody is asked about it.
  let isInternal: Bool

  init(_ resource: ServedResource, _ request: ResourceRequest, kind: String) throws {
    self.resource = resource
    self.request = request
    options = try WriteOptions(request.query, kind: kind, userAgent: request.headers["User-Agent"] ?? "")
    namespace = resource.info.namespaced ? request.info.namespace : ""
    name = request.info.name
    subresource = request.info.subresource
    user = request.user
    isInternal = false
  }

  /// For a change that the server makes by itself.
  init(internal resource: ServedResource, namespace: String, name: String, subresource: String = "") {
    self.resource = resource
    self.namespace = resource.info.namespaced ? namespace : ""
    self.name = name
    self.subresource = subresource
    user = .apiServer
    isInternal = true
    var options = WriteOptions()
    options.fieldManager = "kube-apiserver"
    options.fieldValidation = .ignore
    self.options = options
    var info = RequestInfo()
    info.isResource = true
    info.verb = "update"
    info.apiGroup = resource.info.group
    info.apiVersion = resource.info.version
    info.resource = resource.info.resource
    info.subresource = subresource
    info.namespace = self.namespace
    info.name = name
    request = ResourceRequest(info: info, user: user)
  }

  var groupKind: GroupKind { GroupKind(group: resource.info.group, kind: resource.info.kind) }

  func notFound(_ name: String? = nil) -> StatusError { .notFound(resource.groupResource, name ?? self.name) }

  func invalid(_ name: String, _ errors: [FieldError]) -> StatusError { .invalid(groupKind, name, errors) }
}

extension Registry {
  /// Gives an object the namespace of its request; another one is refused.
  func checkNamespace(_ context: WriteContext, _ metadata: inout ObjectMeta) throws {
    if context.resource.info.namespaced {
      if metadata.namespace.isEmpty {
        metadata.namespace = context.namespace
      } else if metadata.namespace != context.namespace {
        throw StatusError.badRequest(
          "the namespace of the provided object does not match the namespace sent on the request")
      }
    } else {
      metadata.namespace = ""
    }
  }

  /// Defaults, as the kind has them.
  func defaulted(_ object: LiveObject) -> LiveObject {
    guard case .typed(var typed) = object else { return object }
    applyDefaults(to: &typed)
    return .typed(typed)
  }

  /// A committed or hypothetical state as the cache would hold it.
  func cached(_ context: WriteContext, _ metadata: ObjectMeta, _ bytes: [UInt8], _ revision: UInt64) -> CachedObject {
    let key = context.resource.key(context.namespace, metadata.name)
    // The commit's event has put it there, unless another change has followed already.
    if revision != 0, let present = context.resource.cache?.object(key), present.revision == revision,
      present.bytes == bytes
    {
      return present
    }
    return CachedObject(key: key, bytes: bytes, revision: revision, index: context.resource.traits.index)
  }

  func storageKey(_ resource: ServedResource, _ key: String) -> String { "/registry/\(resource.storagePrefix)/\(key)" }
}

/// Random identifiers.
enum Identifiers {
  /// A version 4 UUID.
  static func uid() -> String {
    var bytes = [UInt8](repeating: 0, count: 16)
    var generator = SystemRandomNumberGenerator()
    for index in stride(from: 0, to: 16, by: 8) {
      var word: UInt64 = generator.next()
      for offset in 0..<8 {
        bytes[index + offset] = UInt8(truncatingIfNeeded: word)
        word >>= 8
      }
    }
    bytes[6] = bytes[6] & 0x0f | 0x40
    bytes[8] = bytes[8] & 0x3f | 0x80
    let digits = Array("0123456789abcdef".utf8)
    var out: [UInt8] = []
    out.reserveCapacity(36)
    for (index, byte) in bytes.enumerated() {
      if index == 4 || index == 6 || index == 8 || index == 10 { out.append(UInt8(ascii: "-")) }
      out.append(digits[Int(byte >> 4)])
      out.append(digits[Int(byte & 15)])
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Five characters without vowels or lookalikes, as generated names end in.
  static func suffix(_ length: Int = 5) -> String {
    let alphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)
    return String(decoding: (0..<length).map { _ in alphabet.randomElement() ?? alphabet[0] }, as: UTF8.self)
  }
}

/// Who makes a request, under a name that no API kind has.
typealias RequestUser = UserInfo
