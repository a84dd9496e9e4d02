import API
import APIMachinery
import HTTP
import Testing

@testable import APIServer

@Suite struct AuthRequestInfoTests {
  struct Case: Sendable, CustomStringConvertible {
    var method, target, verb, group, version, namespace, resource, subresource, name: String
    var description: String { "\(method) \(target)" }
    init(
      _ method: String, _ target: String, _ verb: String, _ group: String, _ version: String, _ namespace: String,
      _ resource: String, _ subresource: String, _ name: String
    ) {
      (self.method, self.target, self.verb, self.group, self.version) = (method, target, verb, group, version)
      (self.namespace, self.resource, self.subresource, self.name) = (namespace, resource, subresource, name)
    }
  }

  @Test(arguments: [
    Case("GET", "/api/v1/namespaces", "list", "", "v1", "", "namespaces", "", ""),
    Case("GET", "/api/v1/namespaces/other", "get", "", "v1", "other", "namespaces", "", "other"),
    Case("PUT", "/api/v1/namespaces/other/finalize", "update", "", "v1", "other", "namespaces", "finalize", "other"),
    Case("PUT", "/api/v1/namespaces/other/status", "update", "", "v1", "other", "namespaces", "status", "other"),
    Case("GET", "/api/v1/namespaces/other/pods", "list", "", "v1", "other", "pods", "", ""),
    Case("GET", "/api/v1/namespaces/x/pods/y/log", "get", "", "v1", "x", "pods", "log", "y"),
    Case("POST", "/api/v1/namespaces/x/pods/y/exec?command=ls", "create", "", "v1", "x", "pods", "exec", "y"),
    Case("HEAD", "/api/v1/namespaces/other/pods/foo", "get", "", "v1", "other", "pods", "", "foo"),
    Case("GET", "/api/v1/pods?watch=true", "watch", "", "v1", "", "pods", "", ""),
    Case("GET", "/api/v1/pods?watch=1", "watch", "", "v1", "", "pods", "", ""),
    Case("GET", "/api/v1/pods?watch=false", "list", "", "v1", "", "pods", "", ""),
    Case("GET", "/api/v1/pods?watch", "watch", "", "v1", "", "pods", "", ""),
    Case("GET", "/api/v1/watch/pods", "watch", "", "v1", "", "pods", "", ""),
    Case("GET", "/api/v1/watch/namespaces/other/pods", "watch", "", "v1", "other", "pods", "", ""),
    Case("GET", "/api/v1/proxy/namespaces/other/pods/foo", "proxy", "", "v1", "other", "pods", "", "foo"),
    Case("GET", "/api/v1/nodes/n/proxy/stats/summary", "get", "", "v1", "", "nodes", "proxy", "n"),
    Case("GET", "/api/v1/pods?fieldSelector=metadata.name%3Dfoo", "list", "", "v1", "", "pods", "", "foo"),
    Case("GET", "/api/v1/pods?fieldSelector=metadata.name!%3Dfoo", "list", "", "v1", "", "pods", "", ""),
    Case("DELETE", "/api/v1/namespaces/other/pods", "deletecollection", "", "v1", "other", "pods", "", ""),
    Case("DELETE", "/apis/apps/v1/namespaces/o/deployments/d", "delete", "apps", "v1", "o", "deployments", "", "d"),
    Case(
      "PATCH", "/apis/apps/v1/namespaces/o/deployments/d/scale", "patch", "apps", "v1", "o", "deployments", "scale", "d"
    ),
    Case("POST", "/apis/apps/v1/namespaces/o/deployments", "create", "apps", "v1", "o", "deployments", "", ""),
  ])
  func readsResources(_ c: Case) {
    let head = HTTPRequestHead(method: c.method, target: c.target)
    let info = RequestInfo(method: c.method, path: head.path, query: head.query)
    #expect(info.isResource)
    #expect(info.verb == c.verb)
    #expect(info.apiGroup == c.group && info.apiVersion == c.version)
    #expect(info.namespace == c.namespace)
    #expect(info.resource == c.resource && info.subresource == c.subresource)
    #expect(info.name == c.name)
  }

  @Test(arguments: [
    "/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/version", "/openapi/v3/api/v1",
  ])
  func knowsWhatIsNoResource(_ path: String) {
    let info = RequestInfo(method: "GET", path: path, query: [])
    #expect(!info.isResource)
    #expect(info.verb == "get" && info.path == path)
  }
}

@Suite struct AuthRuleTests {
  @Test func matchesRules() {
    let rule = PolicyText.rule("get list; core apps; pods pods/log */scale; a b")
    func covers(_ verb: String, _ group: String, _ resource: String, _ sub: String = "", _ name: String = "a") -> Bool {
      rule.covers(.init(verb: verb, apiGroup: group, resource: resource, subresource: sub, name: name))
    }
    #expect(covers("get", "", "pods"))
    #expect(covers("list", "apps", "pods", "log"))
    #expect(covers("get", "apps", "deployments", "scale"))
    #expect(!covers("get", "", "pods", "exec"))
    #expect(!covers("watch", "", "pods"))
    #expect(!covers("get", "batch", "pods"))
    #expect(!covers("get", "", "pods", "", "c"))
    #expect(!covers("get", "", "xpods", "log"))
    let path = PolicyText.rule("get; /healthz /api/*")
    #expect(path.covers(.init(verb: "get", path: "/healthz")))
    #expect(path.covers(.init(verb: "get", path: "/api/v1")))
    #expect(!path.covers(.init(verb: "get", path: "/apis")))
    #expect(!path.covers(.init(verb: "post", path: "/healthz")))
  }

  @Test func bindsSubjectsToRoles() {
    let authorizer = RBACAuthorizer()
    for role in BootstrapPolicy.clusterRoles { authorizer.set(role) }
    for binding in BootstrapPolicy.clusterRoleBindings { authorizer.set(binding) }
    var binding = RoleBinding()
    binding.metadata.name = "viewers"
    binding.metadata.namespace = "shop"
    binding.roleRef.kind = "ClusterRole"
    binding.roleRef.name = "view"
    var subject = Subject()
    subject.kind = "ServiceAccount"
    subject.name = "web"
    binding.subjects = [subject]
    authorizer.set(binding)
    let user = RequestUser(name: "system:serviceaccount:shop:web", groups: ["system:serviceaccounts"])
    func answer(_ verb: String, _ resource: String, in namespace: String) -> (AuthorizationDecision, String) {
      let answer = authorizer.authorize(
        user, .init(verb: verb, apiGroup: "", resource: resource, namespace: namespace))
      return (answer.decision, answer.reason)
    }
    // `view` has no rules of its own: they come from the roles it aggregates.
    #expect(answer("list", "pods", in: "shop").0 == .allowed)
    #expect(
      answer("list", "pods", in: "shop").1
        == #"RBAC: allowed by RoleBinding "viewers/shop" of ClusterRole "view" to ServiceAccount "web/shop""#)
    #expect(answer("list", "secrets", in: "shop").0 == .noOpinion)
    #expect(answer("list", "pods", in: "other").0 == .noOpinion)
    #expect(authorizer.allows(user, .init(verb: "get", path: "/openid/v1/jwks")))
    #expect(authorizer.allows(.anonymous, .init(verb: "get", path: "/livez")))
    #expect(!authorizer.allows(.anonymous, .init(verb: "get", path: "/metrics")))
    let scheduler = RequestUser(name: "system:kube-scheduler")
    #expect(
      authorizer.allows(
        scheduler,
        .init(verb: "create", apiGroup: "", resource: "pods", subresource: "binding", namespace: "x", name: "p")))
    binding.roleRef.name = "gone"
    authorizer.set(binding)
    #expect(answer("list", "pods", in: "shop").1 == #"RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#)
  }

  @Test func editIncludesViewAndAdminIncludesEdit() throws {
    let index = RBACAuthorizer.Index(clusterRoles: BootstrapPolicy.clusterRoles)
    func rules(_ name: String) throws -> [PolicyRule] {
      index.aggregated(try #require(index.clusterRoles[name]?.aggregationRule), except: name)
    }
    let read = AuthorizationAttributes(verb: "list", apiGroup: "", resource: "configmaps", namespace: "x")
    let write = AuthorizationAttributes(verb: "create", apiGroup: "apps", resource: "deployments", namespace: "x")
    let grant = AuthorizationAttributes(
      verb: "create", apiGroup: "rbac.authorization.k8s.io", resource: "roles", namespace: "x")
    for (role, expected) in [
      ("view", [true, false, false]), ("edit", [true, true, false]), ("admin", [true, true, true]),
    ] {
      let rules = try rules(role)
      #expect([read, write, grant].map { asked in rules.contains { $0.covers(asked) } } == expected, "\(role)")
    }
  }

  @Test func wordsRefusalsAsUpstream() {
    let alice = RequestUser(name: "alice")
    let list = AuthorizationAttributes(verb: "list", apiGroup: "", resource: "pods", namespace: "default")
    #expect(
      forbidden(alice, list, reason: "").message
        == #"pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "default""#)
    let scale = AuthorizationAttributes(
      verb: "get", apiGroup: "apps", resource: "deployments", subresource: "scale", name: "d")
    #expect(
      forbidden(alice, scale, reason: "no").message
        == #"deployments.apps "d" is forbidden: User "alice" cannot get resource "deployments/scale" in API group "apps" at the cluster scope: no"#
    )
    #expect(
      forbidden(alice, .init(verb: "get", path: "/metrics"), reason: "").message
        == #"forbidden: User "alice" cannot get path "/metrics""#)
  }
}

@Suite struct AuthImpersonationTests {
  struct Only: Authorizer {
    var resources: Set<String>
    func authorize(_ user: RequestUser, _ attributes: AuthorizationAttributes) -> (
      decision: AuthorizationDecision, reason: String
    ) { (attributes.verb == "impersonate" && resources.contains(attributes.resource) ? .allowed : .noOpinion, "") }
  }

  @Test func takesTheOtherIdentity() throws {
    let admin = RequestUser(name: "admin")
    let everything = Only(resources: ["users", "groups", "uids", "userextras", "serviceaccounts"])
    let user = try #require(
      try Impersonation.apply(
        [
          "Impersonate-User": "bob", "Impersonate-Group": "dev", "Impersonate-Uid": "7",
          "Impersonate-Extra-Scopes%2fa": "x",
        ], user: admin, authorizer: everything))
    #expect(
      user == RequestUser(name: "bob", uid: "7", groups: ["dev", "system:authenticated"], extra: ["scopes/a": ["x"]]))
    let account = try Impersonation.apply(
      ["Impersonate-User": "system:serviceaccount:a:b"], user: admin, authorizer: everything)
    #expect(account?.groups == ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"])
    #expect(try Impersonation.apply(["accept": "x"], user: admin, authorizer: everything) == nil)
    let problem = #expect(throws: StatusError.self) {
      try Impersonation.apply(
        ["Impersonate-User": "bob", "Impersonate-Group": "x"], user: admin, authorizer: Only(resources: ["users"]))
    }
    #expect(
      problem?.message
        == #"groups "x" is forbidden: User "admin" cannot impersonate resource "groups" in API group "" at the cluster scope"#
    )
  }
}
