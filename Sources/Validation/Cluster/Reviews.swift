import API

// Requests in the form of objects: answered, never stored, so they need no names.

extension TokenReview: Validated {
  static var nameRule: NameRule { .none }

  func validate(_ errors: inout [FieldError]) {
    if spec.token.isEmpty { errors.append(.required(FieldPath("spec").child("token"))) }
  }
}

extension TokenRequest: Validated {
  static var nameRule: NameRule { .none }

  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec").child("expirationSeconds")
    guard let seconds = spec.expirationSeconds else { return }
    if seconds < 600 {
      errors.append(.invalid(path, seconds, "may not specify a duration less than 10 minutes"))
    } else if seconds > 1 << 32 {
      errors.append(.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
    }
  }
}

/// Exactly one of the two kinds of attributes.
private func checkAttributes(
  _ resource: ResourceAttributes?, _ other: NonResourceAttributes?, _ errors: inout [FieldError]
) {
  let path = FieldPath("spec")
  if resource != nil && other != nil {
    errors.append(
      .invalid(
        path.child("nonResourceAttributes"), FieldJSON(other),
        "cannot be specified in combination with resourceAttributes"))
  } else if resource == nil && other == nil {
    errors.append(
      .invalid(
        path.child("resourceAttributes"), FieldJSON(resource),
        "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
  }
}

extension SubjectAccessReview: Validated {
  static var nameRule: NameRule { .none }

  func validate(_ errors: inout [FieldError]) {
    checkAttributes(spec.resourceAttributes, spec.nonResourceAttributes, &errors)
    if spec.user.isEmpty && spec.groups.isEmpty {
      errors.append(
        .invalid(FieldPath("spec").child("user"), spec.user, "at least one of user or group must be specified"))
    }
  }
}

extension SelfSubjectAccessReview: Validated {
  static var nameRule: NameRule { .none }

  func validate(_ errors: inout [FieldError]) {
    checkAttributes(spec.resourceAttributes, spec.nonResourceAttributes, &errors)
  }
}

extension LocalSubjectAccessReview: Validated {
  static var nameRule: NameRule { .none }

  func validate(_ errors: inout [FieldError]) {
    checkAttributes(spec.resourceAttributes, spec.nonResourceAttributes, &errors)
    if spec.user.isEmpty && spec.groups.isEmpty {
      errors.append(
        .invalid(FieldPath("spec").child("user"), spec.user, "at least one of user or group must be specified"))
    }
    if let attributes = spec.resourceAttributes, attributes.namespace != metadata.namespace {
      errors.append(
        .invalid(
          FieldPath("spec").child("resourceAttributes", "namespace"), attributes.namespace,
          "must match metadata.namespace"))
    }
    if spec.nonResourceAttributes != nil {
      errors.append(
        .invalid(
          FieldPath("spec").child("nonResourceAttributes"), FieldJSON(spec.nonResourceAttributes),
          "disallowed on this kind of request"))
    }
  }
}

extension Binding: Validated {
  static var nameRule: NameRule { .none }

  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("target")
    if !target.kind.isEmpty && target.kind != "Node" {
      errors.append(.notSupported(path.child("kind"), target.kind, ["Node", "<empty>"]))
    }
    if target.name.isEmpty { errors.append(.required(path.child("name"))) }
  }
}
