import API

extension ValidatingWebhookConfiguration: Defaulted {
  mutating func setDefaults() {
    for i in webhooks.indices {
      if webhooks[i].failurePolicy == nil { webhooks[i].failurePolicy = "Fail" }
      if webhooks[i].matchPolicy == nil { webhooks[i].matchPolicy = "Equivalent" }
      if webhooks[i].namespaceSelector == nil { webhooks[i].namespaceSelector = LabelSelector() }
      if webhooks[i].objectSelector == nil { webhooks[i].objectSelector = LabelSelector() }
      if webhooks[i].timeoutSeconds == nil { webhooks[i].timeoutSeconds = 10 }
      webhooks[i].clientConfig.setDefaults()
      webhooks[i].rules.setDefaults()
    }
  }
}

extension MutatingWebhookConfiguration: Defaulted {
  mutating func setDefaults() {
    for i in webhooks.indices {
      if webhooks[i].failurePolicy == nil { webhooks[i].failurePolicy = "Fail" }
      if webhooks[i].matchPolicy == nil { webhooks[i].matchPolicy = "Equivalent" }
      if webhooks[i].namespaceSelector == nil { webhooks[i].namespaceSelector = LabelSelector() }
      if webhooks[i].objectSelector == nil { webhooks[i].objectSelector = LabelSelector() }
      if webhooks[i].timeoutSeconds == nil { webhooks[i].timeoutSeconds = 10 }
      if webhooks[i].reinvocationPolicy == nil { webhooks[i].reinvocationPolicy = "Never" }
      webhooks[i].clientConfig.setDefaults()
      webhooks[i].rules.setDefaults()
    }
  }
}

extension WebhookClientConfig {
  mutating func setDefaults() { if service != nil && service?.port == nil { service?.port = 443 } }
}

extension Array<RuleWithOperations> {
  mutating func setDefaults() { for i in indices where self[i].scope == nil { self[i].scope = "*" } }
}

extension MatchResources {
  mutating func setDefaults() {
    if matchPolicy == nil { matchPolicy = "Equivalent" }
    if namespaceSelector == nil { namespaceSelector = LabelSelector() }
    if objectSelector == nil { objectSelector = LabelSelector() }
    for i in resourceRules.indices where resourceRules[i].scope == nil { resourceRules[i].scope = "*" }
    for i in excludeResourceRules.indices where excludeResourceRules[i].scope == nil {
      excludeResourceRules[i].scope = "*"
    }
  }
}

extension ValidatingAdmissionPolicy: Defaulted {
  mutating func setDefaults() {
    if spec.failurePolicy == nil { spec.failurePolicy = "Fail" }
    spec.matchConstraints?.setDefaults()
  }
}

extension ValidatingAdmissionPolicyBinding: Defaulted {
  mutating func setDefaults() { spec.matchResources?.setDefaults() }
}

extension MutatingAdmissionPolicy: Defaulted {
  mutating func setDefaults() {
    if spec.failurePolicy == nil { spec.failurePolicy = "Fail" }
    spec.matchConstraints?.setDefaults()
  }
}

extension MutatingAdmissionPolicyBinding: Defaulted {
  mutating func setDefaults() { spec.matchResources?.setDefaults() }
}
