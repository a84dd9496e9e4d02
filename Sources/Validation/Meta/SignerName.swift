import API

/// Checks the name of a signer: a domain of at least two labels and a path, as in `example.com/signer-name`.
func checkSignerName(_ name: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if name.isEmpty { errors.append(.required(path)) }
  let segments = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
  guard segments.count == 2 else {
    errors.append(
      .invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'"))
    return
  }
  if segments[0].utf8.count > 253 { errors.append(.tooLong(path, max: 253)) }
  let labels = segments[0].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
  for label in labels {
    for problem in Names.isDNS1123Label(label) {
      errors.append(.invalid(path, segments[0], "validating label \(goQuoted(label)): \(problem)"))
    }
  }
  if labels.count < 2 {
    errors.append(.invalid(path, segments[0], "should be a domain with at least two segments separated by dots"))
  }
  for label in segments[1].split(separator: ".", omittingEmptySubsequences: false).map(String.init) {
    for problem in Names.isDNS1123Subdomain(label) {
      errors.append(.invalid(path, segments[1], "validating label \(goQuoted(label)): \(problem)"))
    }
  }
  let longest = 253 + 1 + (253 + 63 + 1)
  if name.utf8.count > longest { errors.append(.tooLong(path, max: longest)) }
}

/// Signers of Kubernetes itself.
func isKubernetesSigner(_ name: String) -> Bool {
  let domain = name.prefix { $0 != "/" }
  return domain == "kubernetes.io" || domain.hasSuffix(".kubernetes.io")
}
