import API

private let usages: Set<String> = [
  "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
  "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
  "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
  "server auth", "signing", "timestamping",
]

extension CertificateSigningRequest: Validated {
  static var nameRule: NameRule { .pathSegment }

  func validate(_ errors: inout [FieldError]) { check(before: nil, &errors) }

  /// What stands already in a form that is refused today is let be.
  private func check(before old: CertificateSigningRequest?, _ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    if spec.request.isEmpty {
      errors.append(.invalid(path.child("request"), spec.request.base64, "PEM block type must be CERTIFICATE REQUEST"))
    }
    if spec.usages.isEmpty { errors.append(.required(path.child("usages"), "usages must be provided")) }
    let earlier = Set(old?.spec.usages ?? [])
    var seen: Set<String> = []
    for (i, usage) in spec.usages.enumerated() {
      if !usages.contains(usage), !earlier.contains(usage) {
        errors.append(.notSupported(path.child("usages").index(i), usage, usages.sorted()))
      }
      if !seen.insert(usage).inserted, old?.spec.usages != spec.usages {
        errors.append(.duplicate(path.child("usages").index(i), usage))
      }
    }
    if spec.signerName == "kubernetes.io/legacy-unknown", old?.spec.signerName != spec.signerName {
      errors.append(
        .invalid(path.child("signerName"), spec.signerName, "the legacy signerName is not allowed via this API version")
      )
    } else {
      checkSignerName(spec.signerName, path.child("signerName"), &errors)
    }
    if let seconds = spec.expirationSeconds, seconds < 600 {
      errors.append(
        .invalid(
          path.child("expirationSeconds"), seconds, "may not specify a duration less than 600 seconds (10 minutes)"))
    }
    checkConditions(before: old, &errors)
    let certificate = FieldPath("status").child("certificate")
    if old?.status.certificate != status.certificate, let problem = certificateProblem(status.certificate.bytes) {
      errors.append(.invalid(certificate, "<certificate data>", problem))
    }
  }

  private func checkConditions(before old: CertificateSigningRequest?, _ errors: inout [FieldError]) {
    let earlier = old?.status.conditions ?? []
    let hadBoth = earlier.contains { $0.type == "Approved" } && earlier.contains { $0.type == "Denied" }
    let hadTwice = Set(earlier.map(\.type)).count != earlier.count
    var seen: Set<String> = []
    for (i, condition) in status.conditions.enumerated() {
      let path = FieldPath("status").child("conditions").index(i)
      if condition.type.isEmpty { errors.append(.required(path.child("type"))) }
      let settled = ["Approved", "Denied", "Failed"].contains(condition.type)
      if condition.status.isEmpty {
        errors.append(.required(path.child("status")))
      } else {
        checkOneOf(condition.status, settled ? ["True"] : ["False", "True", "Unknown"], path.child("status"), &errors)
      }
      let other = ["Approved": "Denied", "Denied": "Approved"][condition.type]
      if !hadBoth, let other, seen.contains(other) {
        errors.append(
          .invalid(path.child("type"), condition.type, "Approved and Denied conditions are mutually exclusive"))
      }
      if !seen.insert(condition.type).inserted, !hadTwice {
        errors.append(.duplicate(path.child("type"), condition.type))
      }
    }
  }

  func validateChange(of old: CertificateSigningRequest, _ errors: inout [FieldError]) {
    check(before: old, &errors)
    checkStatus(old, &errors)
  }

  func validateStatusChange(of old: CertificateSigningRequest, _ errors: inout [FieldError]) {
    check(before: old, &errors)
    checkStatus(old, mayIssue: true, &errors)
  }

  /// Checks what the approval subresource changes.
  func validateApproval(of old: CertificateSigningRequest, _ errors: inout [FieldError]) {
    check(before: old, &errors)
    checkStatus(old, mayApprove: true, &errors)
  }

  private func checkStatus(
    _ old: CertificateSigningRequest, mayApprove: Bool = false, mayIssue: Bool = false, _ errors: inout [FieldError]
  ) {
    let path = FieldPath("status")
    func all(_ type: String, _ request: CertificateSigningRequest) -> [CertificateSigningRequestCondition] {
      request.status.conditions.filter { $0.type == type }
    }
    for type in ["Approved", "Denied", "Failed"] where all(type, self).count < all(type, old).count {
      errors.append(
        .forbidden(path.child("conditions"), "updates may not remove a condition of type \(goQuoted(type))"))
    }
    if !mayApprove {
      for type in ["Approved", "Denied"] {
        let (now, before) = (all(type, self), all(type, old))
        if now.count > before.count {
          errors.append(
            .forbidden(path.child("conditions"), "updates may not add a condition of type \(goQuoted(type))"))
        } else if now.count == before.count, now != before {
          errors.append(
            .forbidden(path.child("conditions"), "updates may not modify a condition of type \(goQuoted(type))\n"))
        }
      }
    }
    if status.certificate == old.status.certificate { return }
    if !mayIssue {
      errors.append(.forbidden(path.child("certificate"), "updates may not set certificate content"))
    } else if !old.status.certificate.isEmpty {
      errors.append(.forbidden(path.child("certificate"), "updates may not modify existing certificate content"))
    }
  }
}

/// What is wrong with the text around issued certificates; what is in them is for the signer to answer for.
private func certificateProblem(_ bytes: [UInt8]) -> String? {
  if bytes.isEmpty { return nil }
  let blocks = PEMBlocks.read(String(decoding: bytes, as: UTF8.self))
  for block in blocks {
    if block.hasHeaders { return "no PEM block headers are permitted" }
    if block.type != "CERTIFICATE" {
      return "only CERTIFICATE PEM blocks are allowed, found \(goQuoted(block.type))"
    }
  }
  return blocks.isEmpty ? "must contain at least one CERTIFICATE PEM block" : nil
}
