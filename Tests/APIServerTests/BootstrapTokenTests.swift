import API
import APIMachinery
import Client
import Testing

@testable import APIServer

@Suite struct BootstrapTokenTests {
  @Test func onlyWholeLivingTokensCount() async throws {
    try await ServerFixture.with(listening: false) { fixture in
      let admin = fixture.api(RequestUser(name: "admin", groups: [RequestUser.mastersGroup]))
      func token(_ id: String, _ change: (inout [String: String]) -> Void = { _ in }) async throws {
        var data = [
          "token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
          "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
        ]
        change(&data)
        var secret = Secret()
        secret.metadata.namespace = "kube-system"
        secret.metadata.name = "bootstrap-token-\(id)"
        secret.type = "bootstrap.kubernetes.io/token"
        secret.data = data.mapValues { Base64Bytes(Array($0.utf8)) }
        _ = try await admin.create(secret)
      }
      let authenticator = BootstrapTokenAuthenticator(registry: fixture.server.registry)
      func user(_ token: String) -> RequestUser? {
        if case .user(let user, _)? = authenticator.authenticate(token: token, audiences: []) { user } else { nil }
      }
      try await token("aaaaaa")
      #expect(
        user("aaaaaa.0123456789abcdef")
          == RequestUser(
            name: "system:bootstrap:aaaaaa",
            groups: ["system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token"]))
      #expect(user("aaaaaa.0123456789abcdee") == nil)
      #expect(user("aaaaab.0123456789abcdef") == nil)
      #expect(user("AAAAAA.0123456789abcdef") == nil)
      try await token("bbbbbb") { $0["expiration"] = "2020-01-01T00:00:00Z" }
      #expect(user("bbbbbb.0123456789abcdef") == nil)
      try await token("cccccc") { $0["usage-bootstrap-authentication"] = nil }
      #expect(user("cccccc.0123456789abcdef") == nil)
      try await token("dddddd") { $0["auth-extra-groups"] = "system:masters" }
      #expect(user("dddddd.0123456789abcdef") == nil)
      try await token("eeeeee") { $0["expiration"] = "2999-01-01T00:00:00Z" }
      #expect(user("eeeeee.0123456789abcdef") != nil)
      try await token("ffffff") { $0["token-id"] = "eeeeee" }
      #expect(user("ffffff.0123456789abcdef") == nil)
    }
  }
}
