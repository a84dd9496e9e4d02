import APIMachinery
import HTTP

/// `Impersonate-*` fields: acting as somebody else, where rules allow it.
enum Impersonation {
  static let extraPrefix = "impersonate-extra-"

  /// The user to act as; nil when the request impersonates nobody.
  static func apply(_ headers: HTTPFields, user: UserInfo, authorizer: any Authorizer) throws(StatusError) -> UserInfo?
  {
    var name: String?, uid: String?
    var groups: [String] = []
    var extra: [String: [String]] = [:]
    for field in headers where field.name.utf8.count > 12 {
      let lower = field.name.lowercased()
      guard lower.hasPrefix("impersonate-") else { continue }
      switch lower {
      case "impersonate-user": name = field.value
      case "impersonate-uid": uid = field.value
      case "impersonate-group": groups.append(field.value)
      default:
        if lower.hasPrefix(extraPrefix) {
          let key = percentDecoded(Substring(lower.dropFirst(extraPrefix.count)).utf8, plusIsSpace: false)
          extra[key, default: []].append(field.value)
        }
      }
    }
    guard let name, !name.isEmpty else {
      if groups.isEmpty, uid == nil, extra.isEmpty { return nil }
      throw .internalError("requested [\(groups.joined(separator: " "))] without impersonating a user")
    }
    func demand(_ attributes: AuthorizationAttributes) throws(StatusError) {
      let answer = authorizer.authorize(user, attributes)
      if answer.decision != .allowed { throw forbidden(user, attributes, reason: answer.reason) }
    }
    let account = serviceAccount(name)
    if let account {
      try demand(
        .init(
          verb: "impersonate", apiGroup: "", resource: "serviceaccounts", namespace: account.namespace,
          name: account.name))
    } else {
      try demand(.init(verb: "impersonate", apiGroup: "", resource: "users", name: name))
    }
    for group in groups { try demand(.init(verb: "impersonate", apiGroup: "", resource: "groups", name: group)) }
    for (key, values) in extra.sorted(by: { $0.key < $1.key }) {
      for value in values {
        try demand(
          .init(
            verb: "impersonate", apiGroup: "authentication.k8s.io", apiVersion: "v1", resource: "userextras",
            subresource: key, name: value))
      }
    }
    if let uid {
      try demand(
        .init(verb: "impersonate", apiGroup: "authentication.k8s.io", apiVersion: "v1", resource: "uids", name: uid))
    }
    if let account, groups.isEmpty {
      groups = [UserInfo.serviceAccountsGroup, "\(UserInfo.serviceAccountsGroup):\(account.namespace)"]
    }
    if name == UserInfo.anonymousName {
      if !groups.contains(UserInfo.unauthenticatedGroup) { groups.append(UserInfo.unauthenticatedGroup) }
    } else if !groups.contains(UserInfo.authenticatedGroup), !groups.contains(UserInfo.unauthenticatedGroup) {
      groups.append(UserInfo.authenticatedGroup)
    }
    return UserInfo(name: name, uid: uid ?? "", groups: groups, extra: extra)
  }

  static func serviceAccount(_ user: String) -> (namespace: String, name: String)? {
    guard user.hasPrefix(UserInfo.serviceAccountPrefix) else { return nil }
    let parts = user.dropFirst(UserInfo.serviceAccountPrefix.count).split(
      separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
    return (String(parts[0]), String(parts[1]))
  }
}

/// The 403 that upstream answers with.
func forbidden(_ user: UserInfo, _ attributes: AuthorizationAttributes, reason: String) -> StatusError {
  let who = "User \(goQuoted(user.name)) cannot \(attributes.verb)"
  var text: String
  if !attributes.isResource {
    text = "\(who) path \(goQuoted(attributes.path))"
  } else {
    var resource = attributes.resource
    if !attributes.subresource.isEmpty { resource += "/\(attributes.subresource)" }
    text = "\(who) resource \(goQuoted(resource)) in API group \(goQuoted(attributes.apiGroup))"
    text +=
      attributes.namespace.isEmpty
      ? " at the cluster scope" : " in the namespace \(goQuoted(attributes.namespace))"
  }
  if !reason.isEmpty { text += ": \(reason)" }
  return .forbidden(
    GroupResource(group: attributes.apiGroup, resource: attributes.resource), attributes.name, text)
}
