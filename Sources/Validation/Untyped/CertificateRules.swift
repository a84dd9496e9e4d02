import API

extension UntypedRules {
  static let clusterTrustBundle = UntypedRules(
    nameProblems: { bundle in
      let (name, signer) = (bundle.metadata.name, bundle.spec.text("signerName"))
      if signer.isEmpty {
        if name.contains(":") { return ["ClusterTrustBundle without signer name must not have \":\" in its name"] }
        return Names.isDNS1123Subdomain(name)
      }
      let prefix = String(signer.map { $0 == "/" ? ":" : $0 }) + ":"
      if !name.hasPrefix(prefix) {
        return ["ClusterTrustBundle for signerName \(signer) must be named with prefix \(prefix)"]
      }
      return Names.isDNS1123Subdomain(String(name.dropFirst(prefix.count)))
    },
    check: { bundle, old, errors in
      let path = FieldPath("spec")
      let signer = bundle.spec.text("signerName")
      if !signer.isEmpty { checkSignerName(signer, path.child("signerName"), &errors) }
      // What certificates say is checked where they can be read.
      let size = bundle.spec.text("trustBundle").utf8.count
      if size > 1 << 20 { errors.append(.tooLong(path.child("trustBundle"), max: 1 << 20)) }
      if let old { checkImmutable(signer, old.spec.text("signerName"), path.child("signerName"), &errors) }
    })

  static let podCertificateRequest = UntypedRules(
    check: { request, old, errors in
      let path = FieldPath("spec")
      if let old {
        if request.spec != old.spec { errors.append(.invalid(path, request.spec, "field is immutable")) }
        return
      }
      let spec = request.spec
      checkSignerName(spec.text("signerName"), path.child("signerName"), &errors)
      for name in (spec["unverifiedUserAnnotations"]?.objectValue ?? [:]).keys.sorted() {
        checkLabelName(name, path.child("unverifiedUserAnnotations"), &errors)
      }
      for (field, uid) in [
        ("podName", "podUID"), ("serviceAccountName", "serviceAccountUID"), ("nodeName", "nodeUID"),
      ] {
        let (name, id) = (spec.text(field), spec.text(uid))
        checkDNS1123Subdomain(name, path.child(field), &errors)
        if id.isEmpty { errors.append(.invalid(path.child(uid), id, "must not be empty")) }
        if id.utf8.count > 128 { errors.append(.tooLong(path.child(uid), max: 128)) }
      }
      guard let seconds = spec["maxExpirationSeconds"]?.intValue else {
        errors.append(.required(path.child("maxExpirationSeconds"), "must be set"))
        return
      }
      let most: Int64 = isKubernetesSigner(spec.text("signerName")) ? 86_400 : 91 * 86_400
      if seconds < 3600 || seconds > most {
        errors.append(
          .invalid(path.child("maxExpirationSeconds"), seconds, "must be in the range [3600, \(most)]"))
      }
    },
    checkStatus: checkCertificateStatus)
}

private let ends = ["Issued", "Denied", "Failed"]

/// A request ends once, one way: issued, denied or failed.
private func checkCertificateStatus(
  _ request: DynamicObject, _ old: DynamicObject?, _ errors: inout [FieldError]
) {
  if !errors.isEmpty { return }
  let path = FieldPath("status")
  var count = 0
  for (i, condition) in request.status.list("conditions").enumerated() {
    let path = path.child("conditions").index(i)
    let type = condition.text("type")
    guard ends.contains(type) else {
      errors.append(.notSupported(path.child("type"), type, ends))
      continue
    }
    count += 1
    if count > 1 {
      errors.append(
        .invalid(
          path.child("type"), type,
          "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\""))
    }
    checkOneOf(condition.text("status"), ["True"], path.child("status"), &errors)
  }
  checkConditions(conditionForms(request.status), path.child("conditions"), &errors)
  if !errors.isEmpty { return }
  if old?.status.list("conditions").contains(where: { ends.contains($0.text("type")) }) == true {
    if request.status != old?.status {
      errors.append(
        .invalid(
          path, request.status, "immutable after PodCertificateRequest is issued, denied, or failed"))
    }
    return
  }
  let fields = ["certificateChain", "notBefore", "notAfter", "beginRefreshAt"]
  let present = fields.filter { !request.status.text($0).isEmpty }
  switch request.status.list("conditions").first?.text("type") {
  case "Issued":
    for (field, hint) in [
      ("notBefore", "must be present and consistent with the issued certificate"),
      ("notAfter", "must be present and consistent with the issued certificate"),
      ("beginRefreshAt", "must be present and in the range [notbefore+10min, notafter-10min]"),
    ] where !present.contains(field) { errors.append(.required(path.child(field), hint)) }
  case .some:
    if !present.isEmpty {
      errors.append(
        .invalid(
          path, request.status,
          "non-condition status fields must be empty when denying or failing the PodCertificateRequest"))
    }
  case nil:
    if !present.isEmpty {
      errors.append(
        .invalid(
          path, request.status,
          "non-condition status fields must be empty when the PodCertificateRequest is not issued"))
    }
  }
}
