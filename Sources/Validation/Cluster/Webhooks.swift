import API

extension ValidatingWebhookConfiguration: Validated {
  func validate(_ errors: inout [FieldError]) {
    var names: Set<String> = []
    for (i, hook) in webhooks.enumerated() {
      let path = FieldPath("webhooks").index(i)
      checkHook(
        name: hook.name, policies: (hook.failurePolicy, hook.matchPolicy, hook.sideEffects), hook.timeoutSeconds,
        hook.clientConfig, hook.admissionReviewVersions, path, &names, &errors)
      checkLabelSelector(hook.namespaceSelector, path.child("namespaceSelector"), &errors)
      checkLabelSelector(hook.objectSelector, path.child("objectSelector"), &errors)
      checkHookRules(hook.rules, path.child("rules"), &errors)
    }
  }
}

extension MutatingWebhookConfiguration: Validated {
  func validate(_ errors: inout [FieldError]) {
    var names: Set<String> = []
    for (i, hook) in webhooks.enumerated() {
      let path = FieldPath("webhooks").index(i)
      checkHook(
        name: hook.name, policies: (hook.failurePolicy, hook.matchPolicy, hook.sideEffects), hook.timeoutSeconds,
        hook.clientConfig, hook.admissionReviewVersions, path, &names, &errors)
      checkLabelSelector(hook.namespaceSelector, path.child("namespaceSelector"), &errors)
      checkLabelSelector(hook.objectSelector, path.child("objectSelector"), &errors)
      checkHookRules(hook.rules, path.child("rules"), &errors)
      if let policy = hook.reinvocationPolicy {
        checkOneOf(policy, ["IfNeeded", "Never"], path.child("reinvocationPolicy"), &errors)
      }
    }
  }
}

private func checkHook(
  name: String, policies: (failure: String?, match: String?, sideEffects: String?), _ timeout: Int32?,
  _ client: WebhookClientConfig, _ versions: [String], _ path: FieldPath, _ names: inout Set<String>,
  _ errors: inout [FieldError]
) {
  let namePath = path.child("name")
  if name.isEmpty {
    errors.append(.required(namePath))
  } else {
    checkDNS1123Subdomain(name, namePath, &errors)
    if name.split(separator: ".").count < 3 {
      errors.append(.invalid(namePath, name, "should be a domain with at least three segments separated by dots"))
    }
  }
  if !names.insert(name).inserted { errors.append(.duplicate(namePath, name)) }
  if let policy = policies.failure { checkOneOf(policy, ["Fail", "Ignore"], path.child("failurePolicy"), &errors) }
  if let policy = policies.match { checkOneOf(policy, ["Equivalent", "Exact"], path.child("matchPolicy"), &errors) }
  if let effects = policies.sideEffects {
    checkOneOf(effects, ["None", "NoneOnDryRun"], path.child("sideEffects"), &errors)
  } else {
    errors.append(.required(path.child("sideEffects"), "must specify one of None, NoneOnDryRun"))
  }
  if let timeout, timeout < 1 || timeout > 30 {
    errors.append(
      .invalid(path.child("timeoutSeconds"), timeout, "the timeout value must be between 1 and 30 seconds"))
  }
  let config = path.child("clientConfig")
  switch (client.url, client.service) {
  case (nil, nil), (.some, .some):
    errors.append(.required(config, "exactly one of url or service is required"))
  case (let url?, nil):
    if !url.hasPrefix("https://") {
      let scheme = url.split(separator: ":", maxSplits: 1).first.map(String.init) ?? ""
      errors.append(
        .invalid(
          config.child("url"), scheme, "'https' is the only allowed URL scheme; desired format: https://host[/path]"))
    }
  case (nil, let service?):
    checkRequired(service.name, config.child("service", "name"), &errors)
    checkRequired(service.namespace, config.child("service", "namespace"), &errors)
    if let port = service.port, port < 1 || port > 65535 {
      errors.append(.invalid(config.child("service", "port"), port, "port is not valid: " + portRangeMessage))
    }
  }
  let versionsPath = path.child("admissionReviewVersions")
  if versions.isEmpty {
    errors.append(.required(versionsPath, "must specify one of v1, v1beta1"))
  } else if !versions.contains("v1") && !versions.contains("v1beta1") {
    errors.append(.invalid(versionsPath, versions, "must include at least one of v1, v1beta1"))
  }
}

/// Checks which requests a webhook or a policy is about.
func checkHookRules(_ rules: [RuleWithOperations], _ path: FieldPath, _ errors: inout [FieldError]) {
  for (i, rule) in rules.enumerated() {
    let path = path.index(i)
    if rule.operations.isEmpty { errors.append(.required(path.child("operations"))) }
    if rule.operations.count > 1 && rule.operations.contains("*") {
      errors.append(
        .invalid(path.child("operations"), rule.operations, "if '*' is present, must not specify other operations"))
    }
    for (j, operation) in rule.operations.enumerated() {
      checkOneOf(
        operation, ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"], path.child("operations").index(j), &errors)
    }
    for (field, values) in [("apiGroups", rule.apiGroups), ("apiVersions", rule.apiVersions)] {
      if values.isEmpty { errors.append(.required(path.child(field))) }
      if values.count > 1 && values.contains("*") {
        let what = field == "apiGroups" ? "API groups" : "API versions"
        errors.append(.invalid(path.child(field), values, "if '*' is present, must not specify other \(what)"))
      }
    }
    if rule.resources.isEmpty { errors.append(.required(path.child("resources"))) }
    if let scope = rule.scope { checkOneOf(scope, ["*", "Cluster", "Namespaced"], path.child("scope"), &errors) }
  }
}
