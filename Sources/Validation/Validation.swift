public import API

/// Fills in what upstream fills in when an object is read, at every version of the API it knows.
public func applyDefaults(to object: inout any APIObject) {
  guard var target = object as? any Defaulted else { return }
  target.setDefaults()
  object = target
}

/// What is wrong with a new object, in upstream's words; defaults must have been applied.
public func validateCreate(_ object: any APIObject) -> [FieldError] {
  var errors: [FieldError] = []
  guard let object = object as? any Validated else { return errors }
  func check<T: Validated>(_ object: T) {
    T.nameRule.checkMetadata(object.metadata, namespaced: T.namespaced, &errors)
    object.validate(&errors)
  }
  check(object)
  return errors
}

/// What is wrong with a change of an object, in upstream's words.
///
/// Pods are changed through subresources that may each change something else: `""` is the pod itself, `binding`,
/// `ephemeralcontainers` and `resize` are as upstream names them, and nil allows what any of these allows.
public func validateUpdate(_ object: any APIObject, old: any APIObject, subresource: String? = nil) -> [FieldError] {
  if subresource == "status" { return validateStatusUpdate(object, old: old) }
  if subresource == "approval", let new = object as? CertificateSigningRequest,
    let old = old as? CertificateSigningRequest
  {
    var errors: [FieldError] = []
    checkMetadataUpdate(new.metadata, old: old.metadata, &errors)
    new.validateApproval(of: old, &errors)
    return errors
  }
  if let new = object as? Pod, let old = old as? Pod {
    var errors: [FieldError] = []
    checkMetadataUpdate(new.metadata, old: old.metadata, &errors)
    checkPodUpdate(new, old: old, through: subresource, &errors)
    return errors
  }
  return compare(object, old) { new, old, errors in
    checkMetadataUpdate(new.metadata, old: old.metadata, &errors)
    new.validateChange(from: old, &errors)
  }
}

/// What is wrong with a change of an object's status, in upstream's words.
public func validateStatusUpdate(_ object: any APIObject, old: any APIObject) -> [FieldError] {
  compare(object, old) { new, old, errors in
    checkMetadataUpdate(new.metadata, old: old.metadata, &errors)
    new.validateStatusChange(from: old, &errors)
  }
}

private func compare(
  _ object: any APIObject, _ old: any APIObject, _ body: (any Validated, any Validated, inout [FieldError]) -> Void
) -> [FieldError] {
  var errors: [FieldError] = []
  guard let object = object as? any Validated, let old = old as? any Validated else { return errors }
  body(object, old, &errors)
  return errors
}

/// A kind with defaults.
protocol Defaulted: APIObject {
  mutating func setDefaults()
}

/// A kind with rules.
protocol Validated: APIObject {
  /// What names must look like.
  static var nameRule: NameRule { get }
  /// Rules for the object as such, metadata aside.
  func validate(_ errors: inout [FieldError])
  /// Rules for a change; those for the object as such unless a kind says otherwise.
  func validateChange(of old: Self, _ errors: inout [FieldError])
  /// Rules for a change of status.
  func validateStatusChange(of old: Self, _ errors: inout [FieldError])
}

extension Validated {
  static var nameRule: NameRule { .subdomain }

  func validate(_ errors: inout [FieldError]) {}

  func validateChange(of old: Self, _ errors: inout [FieldError]) { validate(&errors) }

  func validateStatusChange(of old: Self, _ errors: inout [FieldError]) {}

  func validateChange(from old: any APIObject, _ errors: inout [FieldError]) {
    if let old = old as? Self { validateChange(of: old, &errors) }
  }

  func validateStatusChange(from old: any APIObject, _ errors: inout [FieldError]) {
    if let old = old as? Self { validateStatusChange(of: old, &errors) }
  }
}
