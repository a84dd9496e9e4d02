import APIMachinery
import Logging

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// The authorizers in their order (apiserver.config.k8s.io AuthorizationConfiguration), from a file or from flags.
struct AuthorizationConfiguration: Sendable {
  struct Entry: Sendable {
    var type: String
    var name = ""
    var webhook: Webhook?
  }

  struct Webhook: Sendable {
    var timeout = Duration.seconds(30)
    var version = "v1"
    var settings = WebhookAuthorizer.Settings()
    /// Nil: the cluster in whose pod this process runs.
    var kubeconfig: String?
  }

  private(set) var entries: [Entry] = []

  var types: [String] { entries.map(\.type) }

  static let known = ["AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"]

  // MARK: Flags

  /// What the flags `--authorization-mode` and `--authorization-webhook-…` come to.
  init(_ settings: AuthorizationSettings) throws {
    if settings.modes.isEmpty {
      throw ConfigurationProblem(description: "at least one authorization-mode must be passed")
    }
    for mode in settings.modes {
      guard Self.known.contains(mode) else {
        throw ConfigurationProblem(
          description: mode == "ABAC"
            ? "authorization-mode ABAC is not served by apus"
            : "authorization-mode \(goQuoted(mode)) is not a valid mode")
      }
      var entry = Entry(type: mode, name: mode.lowercased())
      if mode == "Webhook" {
        guard let file = settings.webhookFile else {
          throw ConfigurationProblem(description: "authorization-mode Webhook's authorization config file not passed")
        }
        var webhook = Webhook()
        webhook.version = settings.webhookVersion
        webhook.kubeconfig = file
        webhook.settings.authorizedTTL = settings.authorizedTTL
        webhook.settings.unauthorizedTTL = settings.unauthorizedTTL
        entry.webhook = webhook
      }
      entries.append(entry)
    }
    if Set(settings.modes).count != settings.modes.count {
      throw ConfigurationProblem(
        description: "authorization-mode \(RuleCoverage.list(settings.modes)) has mode specified more than once")
    }
    if settings.webhookFile != nil, !settings.modes.contains("Webhook") {
      throw ConfigurationProblem(
        description: "cannot specify --authorization-webhook-config-file without mode Webhook")
    }
    if let version = entries.lazy.compactMap({ $0.webhook?.version }).first, !["v1", "v1beta1"].contains(version) {
      throw ConfigurationProblem(
        description: "unsupported authorization webhook version \(goQuoted(version)), supported versions are "
          + "\"v1\", \"v1beta1\"")
    }
  }

  // MARK: File

  /// Reads a file. Throws everything that is wrong with it.
  init(_ text: [UInt8]) throws {
    var tree = try ConfigurationTree.read(
      text, group: "apiserver.config.k8s.io", kind: "AuthorizationConfiguration",
      versions: ["v1", "v1beta1", "v1alpha1"])
    var authorizers = tree.objects("authorizers")
    tree.finish()
    var errors: [FieldError] = []
    if authorizers.isEmpty {
      errors.append(.required(FieldPath("authorizers"), "at least one authorization mode must be defined"))
    }
    var seenTypes: Set<String> = [], seenNames: Set<String> = []
    for index in authorizers.indices {
      let path = FieldPath("authorizers").index(index)
      let type = authorizers[index].text("type") ?? ""
      let name = authorizers[index].text("name") ?? ""
      let described = authorizers[index].object("webhook")
      authorizers[index].finish()
      let webhook = described.map { Self.webhook($0, path) }
      if type.isEmpty {
        errors.append(.required(path.child("type")))
        continue
      }
      guard Self.known.contains(type) else {
        errors.append(.notSupported(path.child("type"), type, Self.known))
        continue
      }
      if type != "Webhook", seenTypes.contains(type) {
        errors.append(.duplicate(path.child("type"), type))
        continue
      }
      seenTypes.insert(type)
      if name.isEmpty {
        errors.append(.required(path.child("name")))
      } else if seenNames.contains(name) {
        errors.append(.duplicate(path.child("name"), name))
      } else {
        let faults = Names.isDNS1123Subdomain(name)
        if !faults.isEmpty {
          errors.append(
            .invalid(
              path.child("name"), name, "authorizer name is invalid: \(faults.joined(separator: ", "))"))
        }
      }
      seenNames.insert(name)
      var entry = Entry(type: type, name: name)
      switch (type == "Webhook", webhook) {
      case (true, nil): errors.append(.required(path.child("webhook"), "required when type=Webhook"))
      case (true, let read?):
        entry.webhook = read.webhook
        errors += read.errors
      case (false, .some):
        errors.append(.invalid(path.child("webhook"), "non-null", "may only be specified when type=Webhook"))
      case (false, nil): break
      }
      entries.append(entry)
    }
    try tree.throwProblems()
    try errors.throwAsConfiguration()
  }

  private static func webhook(
    _ given: ConfigurationTree, _ path: FieldPath
  ) -> (webhook: Webhook, errors: [FieldError]) {
    var tree = given
    var webhook = Webhook()
    var errors: [FieldError] = []
    let timeout = tree.duration("timeout") ?? .zero
    if timeout == .zero {
      errors.append(.required(path.child("timeout")))
    } else if timeout > .seconds(30) || timeout < .zero {
      errors.append(.invalid(path.child("timeout"), shown(timeout), "must be > 0s and <= 30s"))
    }
    webhook.timeout = timeout
    func lifetime(_ name: String, _ value: inout Duration) {
      guard let given = tree.duration(name), given != .zero else { return }
      if given < .zero { errors.append(.invalid(path.child(name), shown(given), "must be > 0s")) }
      value = given
    }
    lifetime("authorizedTTL", &webhook.settings.authorizedTTL)
    lifetime("unauthorizedTTL", &webhook.settings.unauthorizedTTL)
    webhook.settings.cachesAuthorized = tree.flag("cacheAuthorizedRequests") ?? true
    webhook.settings.cachesUnauthorized = tree.flag("cacheUnauthorizedRequests") ?? true
    func choice(_ name: String, _ choices: [String]) -> String {
      let value = tree.text(name) ?? ""
      if value.isEmpty {
        errors.append(.required(path.child(name)))
      } else if !choices.contains(value) {
        errors.append(.notSupported(path.child(name), value, choices))
      }
      return value
    }
    webhook.version = choice("subjectAccessReviewVersion", ["v1", "v1beta1"])
    var conditions = tree.objects("matchConditions")
    let conditionVersion = tree.text("matchConditionSubjectAccessReviewVersion") ?? ""
    if conditionVersion.isEmpty, !conditions.isEmpty {
      errors.append(
        .required(
          path.child("matchConditionSubjectAccessReviewVersion"), "required if match conditions are specified"))
    } else if !conditionVersion.isEmpty, conditionVersion != "v1" {
      errors.append(
        .notSupported(path.child("matchConditionSubjectAccessReviewVersion"), conditionVersion, ["v1"]))
    }
    webhook.settings.onError = choice("failurePolicy", ["NoOpinion", "Deny"]) == "Deny" ? .denied : .noOpinion
    var connection = tree.object("connectionInfo")
    let connectionType = connection?.text("type") ?? ""
    webhook.kubeconfig = connection?.text("kubeConfigFile")
    connection?.finish()
    errors += self.connection(connectionType, webhook.kubeconfig, path.child("connectionInfo"))
    errors += compile(&conditions, into: &webhook.settings.conditions, path.child("matchConditions"))
    tree.finish()
    return (webhook, errors)
  }

  private static func connection(_ type: String, _ file: String?, _ path: FieldPath) -> [FieldError] {
    let place = path.child("kubeConfigFile")
    switch type {
    case "": return [.required(path.child("type"))]
    case "InClusterConfig":
      return file.map { [.invalid(place, $0, "can only be set when type=KubeConfigFile")] } ?? []
    case "KubeConfigFile":
      guard let file, !file.isEmpty else { return [.required(place)] }
      guard file.hasPrefix("/") else { return [.invalid(place, file, "must be an absolute path")] }
      var status = stat()
      guard stat(file, &status) == 0 else {
        let text = errno == ENOENT ? "no such file or directory" : String(cString: strerror(errno))
        return [.invalid(place, file, "error loading file: stat \(file): \(text)")]
      }
      return status.st_mode & S_IFMT == S_IFREG ? [] : [.invalid(place, file, "must be a regular file")]
    default: return [.notSupported(path.child("type"), type, ["InClusterConfig", "KubeConfigFile"])]
    }
  }

  private static func compile(
    _ given: inout [ConfigurationTree], into conditions: inout AccessConditions, _ path: FieldPath
  ) -> [FieldError] {
    if given.count > 64 { return [.tooMany(path, actual: given.count, max: 64)] }
    var errors: [FieldError] = []
    var seen: Set<String> = []
    for index in given.indices {
      let place = path.index(index).child("expression")
      let expression = given[index].text("expression") ?? ""
      given[index].finish()
      if expression.trimmingSpaces.isEmpty {
        errors.append(.required(place))
      } else if !seen.insert(expression).inserted {
        errors.append(.duplicate(place, expression))
      } else if let problem = conditions.add(expression) {
        errors.append(.invalid(place, expression, problem))
      }
    }
    return errors
  }

  private static func shown(_ duration: Duration) -> String {
    let parts = duration.components
    return GoDuration(nanoseconds: parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000).description
  }
}

extension AuthorizationConfiguration {
  /// The authorizers of this configuration behind the one that always comes first.
  func chain(
    node: any Authorizer, rbac: any Authorizer, environment: (String) -> String?, logger: Logger
  ) throws -> AuthorizerChain {
    var steps: [AuthorizerChain.Step] = [.local(PrivilegedGroupAuthorizer())]
    for entry in entries {
      switch entry.type {
      case "Node": steps.append(.local(node))
      case "RBAC": steps.append(.local(rbac))
      case "AlwaysAllow": steps.append(.local(AlwaysAllow()))
      case "AlwaysDeny": steps.append(.local(AlwaysDenyMode()))
      default:
        guard let webhook = entry.webhook else { continue }
        let kubeconfig = try webhook.kubeconfig.map { try WebhookKubeconfig(path: $0) } ?? .inCluster(environment)
        let review = ReviewWebhook(
          kubeconfig, apiVersion: "authorization.k8s.io/\(webhook.version)", kind: "SubjectAccessReview",
          timeout: webhook.timeout, logger: logger)
        steps.append(
          .webhook(WebhookAuthorizer(name: entry.name, review, webhook.settings, logger: logger)))
      }
    }
    return AuthorizerChain(steps: steps)
  }
}
