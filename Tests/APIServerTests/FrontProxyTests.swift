import APIMachinery
import HTTP
import PKI
import Testing

@testable import APIServer

@Suite struct FrontProxyTests {
  private static let review = #"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#
  private static let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

  private func with(
    _ configure: @escaping (inout APIServerConfiguration) -> Void = { _ in },
    _ body: (ServerFixture) async throws -> Void
  ) async throws {
    try await ServerFixture.with { configuration in
      configuration.requestHeaderClientCAFile = configuration.clientCAFile?.replacing(
        "/ca.crt", with: "/front-proxy-ca.crt")
      configuration.requestHeaderAllowedNames = ["front-proxy-client"]
      configuration.requestHeaderUIDHeaders = ["X-Remote-Uid"]
      configure(&configuration)
    } _: {
      try await body($0)
    }
  }

  @Test func headersNameTheUser() async throws {
    try await with { fixture in
      let client = try fixture.client(.frontProxyClient)
      let answer = try await fixture.ask(
        client, "POST", Self.path,
        headers: [
          ("X-Remote-User", "carol"), ("x-remote-group", "dev"), ("X-Remote-Group", "ops"), ("X-Remote-Uid", "7"),
          ("X-Remote-Extra-example.com%2Fteam", "red"), ("X-Remote-Extra-Example.com%2fteam", "blue"),
        ], json: Self.review)
      let user = answer.json["status"]?["userInfo"]
      #expect(answer.status == 201)
      #expect(user?["username"] == "carol" && user?["uid"] == "7")
      #expect(user?["groups"] == ["dev", "ops", "system:authenticated"])
      #expect(user?["extra"] == ["example.com/team": ["red", "blue"]])
      // The same connection speaks for the next one.
      let next = try await fixture.ask(
        client, "POST", Self.path, headers: [("X-Remote-User", "dave")], json: Self.review)
      #expect(next.json["status"]?["userInfo"]?["username"] == "dave")
      // A proxy that names nobody is nobody.
      #expect(try await fixture.ask(client, "POST", Self.path, json: Self.review).status == 401)
      #expect(
        try await fixture.ask(client, "POST", Self.path, token: "alice-token", json: Self.review).json["status"]?[
          "userInfo"]?["username"] == "alice")
      await client.shutdown()
    }
  }

  @Test func othersAreNotBelieved() async throws {
    try await with { fixture in
      let admin = try fixture.client(.admin)
      let answer = try await fixture.ask(
        admin, "POST", Self.path, headers: [("X-Remote-User", "carol")], json: Self.review)
      #expect(answer.json["status"]?["userInfo"]?["username"] == "kubernetes-admin")
      let again = try await fixture.ask(
        admin, "POST", Self.path, headers: [("X-Remote-User", "carol")], json: Self.review)
      #expect(again.json["status"]?["userInfo"]?["username"] == "kubernetes-admin")
      let nobody = try fixture.client()
      let anonymous = try await fixture.ask(nobody, "GET", "/version", headers: [("X-Remote-User", "carol")])
      #expect(anonymous.status == 200)
      #expect(
        try await fixture.ask(nobody, "POST", Self.path, headers: [("X-Remote-User", "carol")], json: Self.review)
          .status == 403)
      await admin.shutdown()
      await nobody.shutdown()
    }
  }

  @Test func namesAreLimited() async throws {
    try await with {
      $0.requestHeaderAllowedNames = ["another"]
    } _: { fixture in
      let client = try fixture.client(.frontProxyClient)
      #expect(
        try await fixture.ask(client, "POST", Self.path, headers: [("X-Remote-User", "carol")], json: Self.review)
          .status == 401)
      await client.shutdown()
    }
  }

  @Test func aCertificateOfTheProxiesAuthorityIsNoUser() async throws {
    try await with {
      $0.requestHeaderUsernameHeaders = ["X-Some-User"]
    } _: { fixture in
      let client = try fixture.client(.frontProxyClient)
      let answer = try await fixture.ask(
        client, "POST", Self.path, headers: [("X-Remote-User", "carol")], json: Self.review)
      #expect(answer.status == 401)
      await client.shutdown()
    }
  }

  @Test func headersGoNoFurther() throws {
    var configuration = APIServerConfiguration()
    configuration.requestHeaderClientCAPEM = ""
    configuration.requestHeaderUsernameHeaders = ["X-Some-User"]
    configuration.requestHeaderExtraHeaderPrefixes = ["X-More-"]
    let proxy = try #require(try FrontProxyAuthenticator(configuration))
    let left = proxy.cleaned(["x-some-user": "a", "X-Remote-Group": "g", "X-More-A": "1", "x-other": "2"])
    #expect(left.pairs.map(\.0) == ["x-other"])
  }

  @Test func namesOfHeadersMustNotBeEmpty() {
    var configuration = APIServerConfiguration()
    configuration.requestHeaderClientCAPEM = ""
    configuration.requestHeaderGroupHeaders = [" "]
    #expect(throws: StatusError.self) { try FrontProxyAuthenticator(configuration) }
  }
}
