import API
import APIMachinery
import Client
import HTTP
import NIOCore
import PKI
import Testing

@testable import APIServer

@Suite struct ServerTests {
  @Test func authenticatesAndAuthorizes() async throws {
    try await ServerFixture.with { fixture in
      let nobody = try fixture.client(), admin = try fixture.client(.admin)
      let scheduler = try fixture.client(.scheduler), serving = try fixture.client(.apiserver)
      // Anybody may see whether the server lives.
      let health = try await fixture.ask(nobody, "GET", "/readyz?verbose")
      #expect(health.status == 200 && health.text.contains("[+]poststarthook/rbac/bootstrap-roles ok"))
      #expect(health.headers["audit-id"]?.count == 36)
      #expect(try await fixture.ask(nobody, "GET", "/version").json["minor"]?.stringValue == "36")
      let refused = try await fixture.ask(nobody, "GET", "/api/v1/namespaces/default/pods")
      #expect(refused.status == 403)
      #expect(
        refused.json["message"]?.stringValue
          == #"pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default""#
      )
      let bad = try await fixture.ask(nobody, "GET", "/version", token: "nonsense")
      #expect(bad.status == 401 && bad.json["reason"]?.stringValue == "Unauthorized")
      #expect(bad.json["message"]?.stringValue == "Unauthorized")
      // By certificate: the groups say what may be done.
      #expect(try await fixture.ask(admin, "GET", "/api/v1/namespaces/default").status == 200)
      #expect(try await fixture.ask(scheduler, "GET", "/api/v1/pods").status == 200)
      #expect(try await fixture.ask(scheduler, "GET", "/api/v1/secrets").status == 403)
      // A certificate that is for serving identifies nobody, and a token beside it still counts.
      #expect(try await fixture.ask(serving, "GET", "/version").status == 401)
      #expect(try await fixture.ask(serving, "GET", "/version", token: "alice-token").status == 200)
      let alice = try await fixture.ask(nobody, "GET", "/api/v1/nodes", token: "alice-token")
      #expect(alice.json["message"]?.stringValue?.hasSuffix("at the cluster scope") == true)
      let impersonated = try await fixture.ask(
        admin, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", headers: [("Impersonate-User", "bob")],
        json: #"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#)
      #expect(impersonated.status == 201)
      #expect(impersonated.json["status"]?["userInfo"]?["username"]?.stringValue == "bob")
      for client in [nobody, admin, scheduler, serving] { await client.shutdown() }
    }
  }

  @Test func servesObjectsOverTLS() async throws {
    try await ServerFixture.with { fixture in
      let admin = try fixture.client(.admin)
      let created = try await fixture.ask(
        admin, "POST", "/api/v1/namespaces/default/configmaps", headers: [("content-type", "application/yaml")],
        json: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: \"1\"\n")
      #expect(created.status == 201)
      #expect(created.json["data"]?["a"]?.stringValue == "1")
      let got = try await fixture.ask(admin, "GET", "/api/v1/namespaces/default/configmaps/one")
      #expect(got.json["metadata"]?["uid"] == created.json["metadata"]?["uid"])
      let list = try await fixture.ask(admin, "GET", "/api/v1/configmaps")
      #expect(list.json["kind"]?.stringValue == "ConfigMapList")
      let watch = try await admin.stream(
        .init(
          origin: fixture.origin,
          target:
            "/api/v1/configmaps?watch=true&resourceVersion=\(list.json["metadata"]?["resourceVersion"]?.stringValue ?? "")"
        ))
      #expect(watch.status == 200)
      let second = try await fixture.ask(
        admin, "POST", "/api/v1/namespaces/default/configmaps",
        json: #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"two"}}"#)
      #expect(second.status == 201)
      let event = try JSONValue(parsing: Array((try await watch.body.next() ?? ByteBuffer()).readableBytesView))
      #expect(event["type"]?.stringValue == "ADDED")
      #expect(event["object"]?["metadata"]?["name"]?.stringValue == "two")
      watch.body.cancel()
      let large = String(repeating: "a", count: 3 * 1024 * 1024 + 1)
      #expect(try await fixture.ask(admin, "POST", "/api/v1/namespaces/default/configmaps", json: large).status == 413)
      #expect(try await fixture.ask(admin, "GET", "/nowhere").text == "404 page not found\n")
      let metrics = try await fixture.ask(admin, "GET", "/metrics").text
      #expect(
        metrics.contains(
          #"apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="configmaps""#))
      #expect(metrics.contains("process_resident_memory_bytes"))
      await admin.shutdown()
    }
  }

  @Test func knowsServiceAccountsByTheirTokens() async throws {
    try await ServerFixture.with { fixture in
      let admin = fixture.api(RequestUser(name: "admin", groups: [RequestUser.mastersGroup]))
      var account = ServiceAccount()
      account.metadata.name = "robot"
      account.metadata.namespace = "default"
      _ = try await admin.create(account)
      let client = try fixture.client()
      let answer = try await fixture.ask(
        client, "POST", "/api/v1/namespaces/default/serviceaccounts/robot/token", token: "root-token",
        json: #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}"#)
      #expect(answer.status == 201)
      let token = try #require(answer.json["status"]?["token"]?.stringValue)
      let me = try await fixture.ask(
        client, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", token: token,
        json: #"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#)
      #expect(me.json["status"]?["userInfo"]?["username"]?.stringValue == "system:serviceaccount:default:robot")
      let review = try await fixture.ask(
        client, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", token: "root-token",
        json: #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"\#(token)"}}"#)
      #expect(review.json["status"]?["authenticated"]?.boolValue == true)
      let keys = try await fixture.ask(client, "GET", "/openid/v1/jwks", token: token)
      #expect(keys.json["keys"]?.arrayValue?.count == 1)
      try await admin.delete(ServiceAccount.self, namespace: "default", name: "robot")
      #expect(try await fixture.ask(client, "GET", "/version", token: token).status == 401)
      await client.shutdown()
    }
  }

  @Test func reviewsAccess() async throws {
    try await ServerFixture.with { fixture in
      let client = try fixture.client()
      let allowed = try await fixture.ask(
        client, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", token: "root-token",
        json:
          #"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"delete","resource":"nodes"}}}"#
      )
      #expect(allowed.json["status"]?["allowed"]?.boolValue == true)
      let other = try await fixture.ask(
        client, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", token: "root-token",
        json:
          #"{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{"user":"alice","resourceAttributes":{"verb":"list","resource":"pods","namespace":"default"}}}"#
      )
      #expect(other.json["status"]?["allowed"]?.boolValue == false)
      let rules = try await fixture.ask(
        client, "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", token: "alice-token",
        json:
          #"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectRulesReview","spec":{"namespace":"default"}}"#)
      #expect(rules.status == 201)
      #expect(rules.json["status"]?["resourceRules"]?.arrayValue?.isEmpty == false)
      await client.shutdown()
    }
  }

  @Test func nodesReadWhatTheirPodsName() async throws {
    try await ServerFixture.with(listening: false) { fixture in
      let admin = fixture.api(RequestUser(name: "admin", groups: [RequestUser.mastersGroup]))
      for name in ["mine", "other"] {
        var secret = Secret()
        secret.metadata.name = name
        secret.metadata.namespace = "default"
        _ = try await admin.create(secret)
      }
      let node = RequestUser(name: "system:node:node-1", groups: [RequestUser.nodesGroup])
      let read = { (name: String) in
        AuthorizationAttributes(verb: "get", apiGroup: "", resource: "secrets", namespace: "default", name: name)
      }
      #expect(!fixture.server.authorizer.allows(node, read("mine")))
      var account = ServiceAccount()
      account.metadata.name = "default"
      account.metadata.namespace = "default"
      _ = try? await admin.create(account)
      var pod = Pod()
      pod.metadata.name = "p"
      pod.metadata.namespace = "default"
      pod.spec.nodeName = "node-1"
      var container = Container()
      container.name = "c"
      container.image = "i"
      pod.spec.containers = [container]
      var volume = Volume()
      volume.name = "v"
      volume.secret = SecretVolumeSource()
      volume.secret?.secretName = "mine"
      pod.spec.volumes = [volume]
      _ = try await admin.create(pod)
      #expect(fixture.server.authorizer.allows(node, read("mine")))
      #expect(!fixture.server.authorizer.allows(node, read("other")))
      #expect(
        !fixture.server.authorizer.allows(
          RequestUser(name: "system:node:b", groups: [RequestUser.nodesGroup]), read("mine")))
      #expect(fixture.server.authorizer.allows(node, .init(verb: "create", apiGroup: "", resource: "nodes")))
    }
  }

  @Test func startsTwiceOnTheSamePolicy() async throws {
    try await ServerFixture.with(listening: false) { fixture in
      let admin = fixture.api(RequestUser(name: "admin", groups: [RequestUser.mastersGroup]))
      let before = try await admin.get(ClusterRole.self, name: "system:kube-scheduler")
      var broken = before
      broken.rules.removeAll()
      _ = try await admin.update(broken)
      try await PolicyBootstrap(registry: fixture.server.registry).run()
      let after = try await admin.get(ClusterRole.self, name: "system:kube-scheduler")
      #expect(after.rules == before.rules)
      #expect(try await admin.get(ClusterRole.self, name: "edit").rules.isEmpty == false)
    }
  }
}

@Suite struct ServerProxyTests {
  /// Stands in for a kubelet.
  final class FakeKubelet: HTTPHandler {
    func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
      switch request.head.path {
      case "/containerLogs/default/p/c": HTTPResponse(contentType: "text/plain", bytes: Array("line\n".utf8))
      default:
        HTTPResponse(contentType: "text/plain", bytes: Array("\(request.head.method) \(request.head.rawTarget)".utf8))
      }
    }

    func upgrade(_ head: HTTPRequestHead) async -> UpgradeDecision? {
      .accept(headers: ["connection": "Upgrade", "upgrade": head.headers["upgrade"] ?? "", "x-target": head.rawTarget])
      {
        connection in
        while let buffer = try? await connection.read() { try? await connection.write(buffer) }
      }
    }
  }

  @Test func passesStreamsOnToTheKubelet() async throws {
    try await ServerFixture.with { fixture in
      let serving = try fixture.pki.pair(.kubelet)
      let kubelet = HTTPServer(
        configuration: .init(
          address: .tcp(host: "127.0.0.1", port: 0),
          tls: .init(certificateChainPEM: serving.certificatePEM, privateKeyPEM: serving.privateKeyPEM)))
      let port = try await kubelet.start(FakeKubelet())
      let admin = fixture.api(RequestUser(name: "admin", groups: [RequestUser.mastersGroup]))
      var node = Node()
      node.metadata.name = "node-1"
      node = try await admin.create(node)
      var address = NodeAddress()
      address.type = "InternalIP"
      address.address = "127.0.0.1"
      node.status.addresses = [address]
      node.status.daemonEndpoints.kubeletEndpoint.Port = Int32(port)
      _ = try await admin.updateStatus(node)
      var account = ServiceAccount()
      account.metadata.name = "default"
      account.metadata.namespace = "default"
      _ = try? await admin.create(account)
      var pod = Pod()
      pod.metadata.name = "p"
      pod.metadata.namespace = "default"
      pod.spec.nodeName = "node-1"
      var container = Container()
      container.name = "c"
      container.image = "i"
      pod.spec.containers = [container]
      _ = try await admin.create(pod)
      let client = try fixture.client(.admin)
      let log = try await fixture.ask(client, "GET", "/api/v1/namespaces/default/pods/p/log?tailLines=1")
      #expect(log.status == 200 && log.text == "line\n")
      let wrong = try await fixture.ask(client, "GET", "/api/v1/namespaces/default/pods/p/log?container=x")
      #expect(wrong.status == 400)
      #expect(wrong.json["message"]?.stringValue == "container x is not valid for pod p")
      let proxied = try await fixture.ask(client, "GET", "/api/v1/nodes/node-1/proxy/stats/summary?a=b")
      #expect(proxied.text == "GET /stats/summary?a=b")
      let posted = try await fixture.ask(client, "POST", "/api/v1/nodes/node-1/proxy/x", json: "{}")
      #expect(posted.text == "POST /x")
      let connection = try await client.upgrade(
        .init(
          method: "POST", origin: fixture.origin,
          target: "/api/v1/namespaces/default/pods/p/exec?command=ls&command=-l&stdin=true&stdout=true&stderr=false",
          headers: ["connection": "Upgrade", "upgrade": "SPDY/3.1"]))
      #expect(connection.responseHeaders["upgrade"] == "SPDY/3.1")
      #expect(
        connection.responseHeaders["x-target"] == "/exec/default/p/c?input=1&output=1&command=ls&command=-l")
      try await connection.write(ByteBuffer(string: "bytes"))
      #expect(try await connection.read() == ByteBuffer(string: "bytes"))
      connection.close()
      let plain = try await fixture.ask(client, "POST", "/api/v1/namespaces/default/pods/p/exec?command=ls")
      #expect(plain.status == 400)
      await client.shutdown()
      await kubelet.shutdown(grace: .seconds(0))
    }
  }
}
