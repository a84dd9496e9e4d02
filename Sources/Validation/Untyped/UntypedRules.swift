public import API

// Kinds of groups that are off by default have no types of their own; their rules read them as they are.

/// What is wrong with a new object of a built-in kind without a type; metadata alone is checked for others.
public func validateCreate(untyped object: DynamicObject, namespaced: Bool) -> [FieldError] {
  var errors: [FieldError] = []
  let rules = UntypedRules.of(object.kind)
  checkName(object, namespaced: namespaced, rules, &errors)
  rules?.check(object, nil, &errors)
  return errors
}

/// What is wrong with a change of an object of a built-in kind without a type.
public func validateUpdate(untyped object: DynamicObject, old: DynamicObject, subresource: String) -> [FieldError] {
  var errors: [FieldError] = []
  checkMetadataUpdate(object.metadata, old: old.metadata, &errors)
  let rules = UntypedRules.of(object.kind)
  if subresource == "status" {
    rules?.checkStatus(object, old, &errors)
  } else {
    rules?.check(object, old, &errors)
  }
  return errors
}

private func checkName(
  _ object: DynamicObject, namespaced: Bool, _ rules: UntypedRules?, _ errors: inout [FieldError]
) {
  guard let nameProblems = rules?.nameProblems, !object.metadata.name.isEmpty else {
    NameRule.subdomain.checkMetadata(object.metadata, namespaced: namespaced, &errors)
    return
  }
  NameRule.pathSegment.checkMetadata(object.metadata, namespaced: namespaced, &errors)
  checkProblems(nameProblems(object), object.metadata.name, FieldPath("metadata").child("name"), &errors)
}

/// The rules of one kind.
struct UntypedRules: Sendable {
  typealias Check = @Sendable (DynamicObject, DynamicObject?, inout [FieldError]) -> Void

  /// What is wrong with a name, where it is not just a domain's.
  var nameProblems: (@Sendable (DynamicObject) -> [String])?
  /// Checks an object; the second one is what it was before.
  var check: Check
  /// Checks a change of status.
  var checkStatus: Check = { _, _, _ in }

  static func of(_ kind: String) -> UntypedRules? {
    switch kind {
    case "ClusterTrustBundle": clusterTrustBundle
    case "PodCertificateRequest": podCertificateRequest
    case "LeaseCandidate": leaseCandidate
    case "DeviceTaintRule": deviceTaintRule
    case "StorageVersionMigration": storageVersionMigration
    default: nil
    }
  }
}

extension DynamicObject {
  var spec: JSONValue { content.part("spec") }
  var status: JSONValue { content.part("status") }
}
