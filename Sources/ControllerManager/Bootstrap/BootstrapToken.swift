import API

/// A bootstrap token as its Secret holds it.
struct BootstrapToken: Sendable, Equatable {
  static let namespace = "kube-system"
  static let secretType = "bootstrap.kubernetes.io/token"
  static let namePrefix = "bootstrap-token-"

  var id: String
  var secret: String
  /// Nil: never. A time that cannot be read counts as past, as upstream has it.
  var expiration: Time?
  var mayExpire: Bool
  var signs: Bool

  /// Nil for a Secret that is no token, or none that fits its name.
  init?(_ object: Secret) {
    guard object.metadata.namespace == Self.namespace, object.type == Self.secretType else { return nil }
    func text(_ key: String) -> String { String(decoding: object.data[key]?.bytes ?? [], as: UTF8.self) }
    id = text("token-id")
    secret = text("token-secret")
    guard !id.isEmpty, !secret.isEmpty, object.metadata.name == Self.namePrefix + id else { return nil }
    let time = text("expiration")
    mayExpire = !time.isEmpty
    expiration = mayExpire ? Time(rfc3339: time) : nil
    signs = text("usage-bootstrap-signing") == "true"
  }

  func isExpired(at now: Time) -> Bool {
    guard mayExpire else { return false }
    return expiration.map { $0 <= now } ?? true
  }
}
