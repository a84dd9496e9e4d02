import API
import APIMachinery

/// What a Secret with a service account's token needs: pure.
enum TokenSecretDecision: Sendable, Equatable {
  case nothing
  /// Its account is gone, or is another of the same name.
  case delete
  /// Fill in what is missing; a token only where there is none.
  case fill(Secret, needsToken: Bool)

  static let type = "kubernetes.io/service-account-token"
  static let nameAnnotation = "kubernetes.io/service-account.name"
  static let uidAnnotation = "kubernetes.io/service-account.uid"

  /// The account that a Secret says it is of, for looking it up.
  static func account(of secret: Secret) -> ObjectKey? {
    guard secret.type == type, let name = secret.metadata.annotations[nameAnnotation], !name.isEmpty else { return nil }
    return ObjectKey(namespace: secret.metadata.namespace, name: name)
  }

  static func decide(_ secret: Secret, account: ServiceAccount?, rootCA: [UInt8]) -> TokenSecretDecision {
    guard secret.type == type, secret.metadata.deletionTimestamp == nil else { return .nothing }
    let uid = secret.metadata.annotations[uidAnnotation] ?? ""
    guard let account, uid.isEmpty || uid == account.metadata.uid else { return .delete }
    var filled = secret
    if !rootCA.isEmpty { filled.data["ca.crt"] = Base64Bytes(rootCA) }
    if secret.data["namespace"]?.isEmpty ?? true {
      filled.data["namespace"] = Base64Bytes(Array(secret.metadata.namespace.utf8))
    }
    let needsToken = secret.data["token"]?.isEmpty ?? true
    guard filled != secret || needsToken else { return .nothing }
    filled.metadata.annotations[nameAnnotation] = account.metadata.name
    filled.metadata.annotations[uidAnnotation] = account.metadata.uid
    return .fill(filled, needsToken: needsToken)
  }
}
