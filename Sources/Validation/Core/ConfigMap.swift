import API

private let sizeLimit = 1024 * 1024
private let immutableMessage = "field is immutable when `immutable` is set"

extension ConfigMap: Validated {
  func validate(_ errors: inout [FieldError]) {
    var size = 0
    for (key, value) in data.sorted(by: { $0.key < $1.key }) {
      let path = FieldPath("data").key(key)
      checkProblems(configKeyProblems(key), key, path, &errors)
      if binaryData[key] != nil { errors.append(.invalid(path, key, "duplicate of key present in binaryData")) }
      size += value.utf8.count
    }
    for (key, value) in binaryData.sorted(by: { $0.key < $1.key }) {
      checkProblems(configKeyProblems(key), key, FieldPath("binaryData").key(key), &errors)
      size += value.bytes.count
    }
    if size > sizeLimit { errors.append(.tooLong(FieldPath(), max: sizeLimit)) }
  }

  func validateChange(of old: ConfigMap, _ errors: inout [FieldError]) {
    if old.immutable == true {
      if immutable != true { errors.append(.forbidden(FieldPath("immutable"), immutableMessage)) }
      if data != old.data { errors.append(.forbidden(FieldPath("data"), immutableMessage)) }
      if binaryData != old.binaryData { errors.append(.forbidden(FieldPath("binaryData"), immutableMessage)) }
    }
    validate(&errors)
  }
}

extension Secret: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("data")
    var size = 0
    for (key, value) in data.sorted(by: { $0.key < $1.key }) {
      checkProblems(configKeyProblems(key), key, path.key(key), &errors)
      size += value.bytes.count
    }
    if size > sizeLimit { errors.append(.tooLong(path, max: sizeLimit)) }
    checkSecretType(path, &errors)
  }

  private func checkSecretType(_ path: FieldPath, _ errors: inout [FieldError]) {
    func need(_ key: String, _ errors: inout [FieldError]) {
      if data[key] == nil { errors.append(.required(path.key(key))) }
    }
    switch type {
    case "kubernetes.io/service-account-token":
      let annotation = "kubernetes.io/service-account.name"
      if metadata.annotations[annotation]?.isEmpty ?? true {
        errors.append(.required(FieldPath("metadata").child("annotations").key(annotation)))
      }
    case "kubernetes.io/dockercfg": checkJSON(".dockercfg", path, &errors)
    case "kubernetes.io/dockerconfigjson": checkJSON(".dockerconfigjson", path, &errors)
    case "kubernetes.io/basic-auth":
      if data["username"] == nil && data["password"] == nil {
        errors.append(.required(path.key("username")))
        errors.append(.required(path.key("password")))
      }
    case "kubernetes.io/ssh-auth":
      if data["ssh-privatekey"]?.isEmpty ?? true { errors.append(.required(path.key("ssh-privatekey"))) }
    case "kubernetes.io/tls":
      need("tls.crt", &errors)
      need("tls.key", &errors)
    default: break
    }
  }

  private func checkJSON(_ key: String, _ path: FieldPath, _ errors: inout [FieldError]) {
    guard let value = data[key] else {
      errors.append(.required(path.key(key)))
      return
    }
    do {
      _ = try JSONValue(parsing: value.bytes)
    } catch {
      let message = (error as? JSONError)?.message ?? "invalid JSON"
      errors.append(.invalid(path.key(key), "<secret contents redacted>", message))
    }
  }

  func validateChange(of old: Secret, _ errors: inout [FieldError]) {
    checkImmutable(type, old.type, FieldPath("type"), &errors)
    if old.immutable == true {
      if immutable != true { errors.append(.forbidden(FieldPath("immutable"), immutableMessage)) }
      if data != old.data { errors.append(.forbidden(FieldPath("data"), immutableMessage)) }
    }
    validate(&errors)
  }
}
