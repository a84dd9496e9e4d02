import APIMachinery
import CEL
import PKI

/// Issuers of tokens, and who may come without credentials (apiserver.config.k8s.io AuthenticationConfiguration).
struct AuthenticationConfiguration: Sendable {
  struct Issuer: Sendable {
    var url = ""
    var discoveryURL: String?
    var authorities: String?
    var audiences: [String] = []
    var algorithms = JSONWebKeySet.algorithms
    var mappings = ClaimMappings()
  }

  private(set) var issuers: [Issuer] = []
  /// Nil where the file does not speak of it.
  private(set) var anonymous: AnonymousRule.Rule?

  /// Reads a file. `ownIssuers`: those of service accounts' tokens, which no other may be. Throws everything that is
  /// wrong with it.
  init(_ text: [UInt8], ownIssuers: [String]) throws {
    var tree = try ConfigurationTree.read(
      text, group: "apiserver.config.k8s.io", kind: "AuthenticationConfiguration",
      versions: ["v1", "v1beta1", "v1alpha1"])
    let list = tree.objects("jwt")
    let anonymous = tree.object("anonymous")
    tree.finish()
    var errors: [FieldError] = []
    if list.count > 64 {
      errors.append(.tooMany(FieldPath("jwt"), actual: list.count, max: 64))
    } else {
      var urls: Set<String> = [], discoveryURLs: Set<String> = []
      for (index, entry) in list.enumerated() {
        let path = FieldPath("jwt").index(index)
        var reader = JWTConfigurationReader(ownIssuers: ownIssuers)
        let issuer = reader.read(entry, path)
        errors += reader.errors
        if !urls.insert(issuer.url).inserted {
          errors.append(.duplicate(path.child("issuer", "url"), issuer.url))
        }
        if let url = issuer.discoveryURL, !discoveryURLs.insert(url).inserted {
          errors.append(.duplicate(path.child("issuer", "discoveryURL"), url))
        }
        issuers.append(issuer)
      }
    }
    if let anonymous { self.anonymous = Self.anonymous(anonymous, &errors) }
    try tree.throwProblems()
    try errors.throwAsConfiguration()
  }

  private static func anonymous(
    _ given: ConfigurationTree, _ errors: inout [FieldError]
  ) -> AnonymousRule.Rule {
    var tree = given
    let isEnabled = tree.flag("enabled") ?? false
    let conditions = tree.objects("conditions")
    tree.finish()
    let paths = conditions.map { condition in
      var condition = condition
      defer { condition.finish() }
      return condition.text("path") ?? ""
    }
    if !isEnabled, !paths.isEmpty {
      errors.append(
        .invalid(
          FieldPath("anonymous.conditions"), JSONValue.array(paths.map { .object(["Path": .string($0)]) }),
          "enabled should be set to true when conditions are defined"))
    }
    if !isEnabled { return .nowhere }
    return paths.isEmpty ? .everywhere : .at(Set(paths))
  }

  /// What the flags `--oidc-*` come to.
  init(_ settings: OIDCSettings, ownIssuers: [String]) throws {
    var reader = JWTConfigurationReader(ownIssuers: ownIssuers)
    reader.checkURL(settings.issuerURL, FieldPath("issuer").child("url"), disallowed: ownIssuers)
    try reader.errors.throwAsConfiguration()
    for algorithm in settings.signingAlgorithms where !JSONWebKeySet.algorithms.contains(algorithm) {
      throw ConfigurationProblem(description: "oidc: unsupported signing alg: \(goQuoted(algorithm))")
    }
    var issuer = Issuer()
    issuer.url = settings.issuerURL
    issuer.audiences = [settings.clientID]
    issuer.algorithms = settings.signingAlgorithms
    if let file = settings.authoritiesFile {
      guard let bytes = readWholeFile(file) else { throw ConfigurationProblem(description: "cannot read \(file)") }
      issuer.authorities = String(decoding: bytes, as: UTF8.self)
    }
    // Names other than addresses could be those of others: the issuer is put before them.
    let prefix =
      switch settings.usernamePrefix {
      case "-": ""
      case "": settings.usernameClaim == "email" ? "" : settings.issuerURL + "#"
      default: settings.usernamePrefix
      }
    issuer.mappings.username = .claim(settings.usernameClaim, prefix: prefix)
    if !settings.groupsClaim.isEmpty {
      issuer.mappings.groups = .claim(settings.groupsClaim, prefix: settings.groupsPrefix)
    }
    issuer.mappings.requiredClaims = settings.requiredClaims.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    issuers = [issuer]
  }

  /// Nobody but those whom other means know.
  init() {}
}

/// Reads and validates one issuer of the file.
struct JWTConfigurationReader {
  let ownIssuers: [String]
  private(set) var errors: [FieldError] = []

  init(ownIssuers: [String]) { self.ownIssuers = ownIssuers }

  mutating func read(_ given: ConfigurationTree, _ path: FieldPath) -> AuthenticationConfiguration.Issuer {
    var tree = given
    var issuer = AuthenticationConfiguration.Issuer()
    readIssuer(tree.object("issuer"), &issuer, path.child("issuer"))
    let usesVerified = readClaimRules(
      tree.objects("claimValidationRules"), &issuer.mappings, path.child("claimValidationRules"))
    readMappings(tree.object("claimMappings"), &issuer.mappings, path.child("claimMappings"), usesVerified)
    readUserRules(tree.objects("userValidationRules"), &issuer.mappings, path.child("userValidationRules"))
    tree.finish()
    return issuer
  }

  // MARK: Issuer

  private mutating func readIssuer(
    _ given: ConfigurationTree?, _ issuer: inout AuthenticationConfiguration.Issuer, _ path: FieldPath
  ) {
    var tree = given
    issuer.url = tree?.text("url") ?? ""
    if issuer.url.isEmpty {
      errors.append(.required(path.child("url")))
    } else {
      checkURL(issuer.url, path.child("url"), disallowed: ownIssuers)
    }
    if let url = tree?.text("discoveryURL"), !url.isEmpty {
      func trimmed(_ text: String) -> Substring {
        var text = text[...]
        while text.last == "/" { text.removeLast() }
        return text
      }
      if !issuer.url.isEmpty, trimmed(issuer.url) == trimmed(url) {
        errors.append(.invalid(path.child("discoveryURL"), url, "discoveryURL must be different from URL"))
      }
      checkURL(url, path.child("discoveryURL"), disallowed: [])
      issuer.discoveryURL = url
    }
    issuer.audiences = tree?.texts("audiences") ?? []
    checkAudiences(issuer.audiences, tree?.text("audienceMatchPolicy") ?? "", path)
    if let authorities = tree?.text("certificateAuthority"), !authorities.isEmpty {
      issuer.authorities = authorities
      do {
        let blocks = pemBlocks(authorities).filter { $0.hasPrefix("-----BEGIN CERTIFICATE-----") }
        if blocks.isEmpty {
          throw ConfigurationProblem(description: "data does not contain any valid RSA or ECDSA certificates")
        }
        for block in blocks { _ = try CertificateInfo(pem: block) }
      } catch { errors.append(.invalid(path.child("certificateAuthority"), "<omitted>", "\(error)")) }
    }
    if let selector = tree?.text("egressSelectorType"), !selector.isEmpty,
      selector != "controlplane", selector != "cluster"
    {
      errors.append(
        .invalid(
          path.child("egressSelectorType"), selector, "egress selector must be either controlplane or cluster"))
    }
    tree?.finish()
  }

  mutating func checkURL(_ url: String, _ path: FieldPath, disallowed: [String]) {
    func wrong(_ detail: String) { errors.append(.invalid(path, url, detail)) }
    if disallowed.contains(url) {
      wrong("URL must not overlap with disallowed issuers: [\(disallowed.sorted().joined(separator: " "))]")
    }
    if !url.lowercased().hasPrefix("https://") { wrong("URL scheme must be https") }
    let fragment = url.firstIndex(of: "#")
    let plain = url[..<(fragment ?? url.endIndex)]
    let query = plain.firstIndex(of: "?")
    if let scheme = plain.firstRange(of: "://") {
      let authority = plain[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" }
      if authority.contains("@") { wrong("URL must not contain a username or password") }
    }
    if let query, plain.index(after: query) != plain.endIndex { wrong("URL must not contain a query") }
    if let fragment, url.index(after: fragment) != url.endIndex { wrong("URL must not contain a fragment") }
  }

  private mutating func checkAudiences(_ audiences: [String], _ policy: String, _ path: FieldPath) {
    let place = path.child("audiences")
    if audiences.isEmpty {
      errors.append(.required(place, "at least one \(place) is required"))
      return
    }
    var seen: Set<String> = []
    for (index, audience) in audiences.enumerated() {
      if audience.isEmpty { errors.append(.required(place.index(index))) }
      if !seen.insert(audience).inserted { errors.append(.duplicate(place.index(index), audience)) }
    }
    if audiences.count > 1, policy != "MatchAny" {
      errors.append(
        .invalid(
          path.child("audienceMatchPolicy"), policy, "audienceMatchPolicy must be MatchAny for multiple audiences"))
    }
    if audiences.count == 1, !policy.isEmpty, policy != "MatchAny" {
      errors.append(
        .invalid(
          path.child("audienceMatchPolicy"), policy,
          "audienceMatchPolicy must be empty or MatchAny for single audience"))
    }
  }

  // MARK: Rules

  /// Whether one of the rules looks at `claims.email_verified`.
  private mutating func readClaimRules(
    _ rules: [ConfigurationTree], _ mappings: inout ClaimMappings, _ path: FieldPath
  ) -> Bool {
    var claims: Set<String> = [], expressions: Set<String> = []
    var usesVerified = false
    for (index, rule) in rules.enumerated() {
      var rule = rule
      let place = path.index(index)
      let claim = rule.text("claim") ?? "", required = rule.text("requiredValue") ?? ""
      let expression = rule.text("expression") ?? "", message = rule.text("message") ?? ""
      rule.finish()
      switch (claim.isEmpty, expression.isEmpty) {
      case (false, false): errors.append(.invalid(place, claim, "claim and expression can't both be set"))
      case (true, true): errors.append(.required(place, "claim or expression is required"))
      case (false, true):
        if !message.isEmpty {
          errors.append(.invalid(place.child("message"), message, "may not be specified when claim is set"))
        }
        if !claims.insert(claim).inserted { errors.append(.duplicate(place.child("claim"), claim)) }
        mappings.requiredClaims.append((claim, required))
      case (true, false):
        if !required.isEmpty {
          errors.append(
            .invalid(place.child("requiredValue"), required, "may not be specified when expression is set"))
        }
        if !expressions.insert(expression).inserted {
          errors.append(.duplicate(place.child("expression"), expression))
        } else if let compiled = compile(expression, .claims, place.child("expression"), is: .bool) {
          usesVerified = usesVerified || compiled.selects("email_verified")
          mappings.claimRules.append(.init(expression: compiled, message: message))
        }
      }
    }
    return usesVerified
  }

  private mutating func readUserRules(
    _ rules: [ConfigurationTree], _ mappings: inout ClaimMappings, _ path: FieldPath
  ) {
    var seen: Set<String> = []
    for (index, rule) in rules.enumerated() {
      var rule = rule
      let place = path.index(index).child("expression")
      let expression = rule.text("expression") ?? "", message = rule.text("message") ?? ""
      rule.finish()
      if expression.isEmpty {
        errors.append(.required(place))
      } else if !seen.insert(expression).inserted {
        errors.append(.duplicate(place, expression))
      } else if let compiled = compile(expression, .user, place, is: .bool) {
        mappings.userRules.append(.init(expression: compiled, message: message))
      }
    }
  }

  // MARK: Mappings

  private mutating func readMappings(
    _ given: ConfigurationTree?, _ mappings: inout ClaimMappings, _ path: FieldPath, _ rulesUseVerified: Bool
  ) {
    var tree = given
    mappings.username = source(tree?.object("username"), path.child("username"), isRequired: true)
    mappings.groups = source(tree?.object("groups"), path.child("groups"), isRequired: false)
    if var uid = tree?.object("uid") {
      let claim = uid.text("claim") ?? "", expression = uid.text("expression") ?? ""
      uid.finish()
      if !claim.isEmpty, !expression.isEmpty {
        errors.append(.invalid(path.child("uid"), "", "claim and expression can't both be set"))
      } else if !expression.isEmpty {
        if let compiled = compile(expression, .claims, path.child("uid", "expression")) {
          mappings.uid = .expression(compiled)
        }
      } else if !claim.isEmpty {
        mappings.uid = .claim(claim, prefix: "")
      }
    }
    readExtra(tree?.objects("extra") ?? [], &mappings, path.child("extra"))
    tree?.finish()
    guard case .expression(let name) = mappings.username, name.selects("email") else { return }
    let usesVerified =
      rulesUseVerified || name.selects("email_verified")
      || mappings.extra.contains { $0.expression.selects("email_verified") }
    if !usesVerified {
      errors.append(
        .invalid(
          path.child("username", "expression"), name.source,
          "claims.email_verified must be used in claimMappings.username.expression or "
            + "claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used "
            + "in claimMappings.username.expression"))
    }
  }

  private mutating func readExtra(
    _ entries: [ConfigurationTree], _ mappings: inout ClaimMappings, _ path: FieldPath
  ) {
    var seen: Set<String> = []
    for (index, entry) in entries.enumerated() {
      var entry = entry
      let place = path.index(index)
      let key = entry.text("key") ?? "", expression = entry.text("valueExpression") ?? ""
      entry.finish()
      errors += Self.domainPrefixedPath(key, place.child("key"))
      if key != key.lowercased() { errors.append(.invalid(place.child("key"), key, "must be lowercase")) }
      let domain = key.contains("/") ? key.prefix { $0 != "/" } : ""
      if ["kubernetes.io", "k8s.io"].contains(where: { domain == $0 || domain.hasSuffix("." + $0) }) {
        errors.append(
          .invalid(
            place.child("key"), key,
            "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"))
      }
      if !seen.insert(key).inserted {
        errors.append(.duplicate(place.child("key"), key))
      } else if expression.isEmpty {
        errors.append(.required(place.child("valueExpression")))
      } else if let compiled = compile(expression, .claims, place.child("valueExpression")) {
        mappings.extra.append((key, compiled))
      }
    }
  }

  private static func domainPrefixedPath(_ key: String, _ path: FieldPath) -> [FieldError] {
    if key.isEmpty { return [.required(path)] }
    let parts = key.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
      return [.invalid(path, key, "must be a domain-prefixed path (such as \"acme.io/foo\")")]
    }
    var errors = Names.isDNS1123Subdomain(parts[0]).map { FieldError.invalid(path, parts[0], $0) }
    let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/%")
    if !parts[1].allSatisfy(allowed.contains) {
      errors.append(
        .invalid(
          path, parts[1],
          "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"))
    }
    return errors
  }

  private mutating func source(
    _ given: ConfigurationTree?, _ path: FieldPath, isRequired: Bool
  ) -> ClaimMappings.Source {
    var tree = given
    let claim = tree?.text("claim") ?? "", expression = tree?.text("expression") ?? ""
    let prefix = tree?.text("prefix")
    tree?.finish()
    switch (claim.isEmpty, expression.isEmpty) {
    case (false, false): errors.append(.invalid(path, "", "claim and expression can't both be set"))
    case (true, true): if isRequired { errors.append(.required(path, "claim or expression is required")) }
    case (true, false):
      if let prefix {
        errors.append(.invalid(path.child("prefix"), prefix, "may not be specified when expression is set"))
      }
      if let compiled = compile(expression, .claims, path.child("expression")) { return .expression(compiled) }
    case (false, true):
      if prefix == nil {
        errors.append(
          .required(
            path.child("prefix"),
            "prefix is required when claim is set. It can be set to an empty string to disable prefixing"))
      }
      return .claim(claim, prefix: prefix ?? "")
    }
    return .nothing
  }

  private mutating func compile(
    _ source: String, _ subject: ClaimExpression.Subject, _ path: FieldPath, is wanted: CELType? = nil
  ) -> ClaimExpression? {
    do throws(ConfigurationProblem) { return try ClaimExpression(source, over: subject, is: wanted) } catch {
      errors.append(.invalid(path, source, "\(error)"))
      return nil
    }
  }
}
