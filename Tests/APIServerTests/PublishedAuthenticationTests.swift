import Testing

@testable import APIServer

@Suite struct PublishedAuthenticationTests {
  private static func pem(_ body: String) -> String {
    "-----BEGIN CERTIFICATE-----\n\(body)\n-----END CERTIFICATE-----\n"
  }

  @Test func serversAddTheirAuthoritiesOnce() {
    var configuration = APIServerConfiguration()
    configuration.clientCAPEM = "# ours\n" + Self.pem("B")
    var data = ["client-ca-file": Self.pem("A")]
    PublishedAuthentication.fill(&data, configuration)
    PublishedAuthentication.fill(&data, configuration)
    #expect(data == ["client-ca-file": Self.pem("A") + Self.pem("B")])
  }

  @Test func theFrontProxyIsDescribedWhereThereIsOne() {
    var configuration = APIServerConfiguration()
    configuration.requestHeaderClientCAPEM = Self.pem("P")
    configuration.requestHeaderAllowedNames = ["front-proxy-client"]
    var data: [String: String] = [:]
    PublishedAuthentication.fill(&data, configuration)
    #expect(data["requestheader-client-ca-file"] == Self.pem("P"))
    #expect(data["requestheader-allowed-names"] == #"["front-proxy-client"]"#)
    #expect(data["requestheader-username-headers"] == #"["X-Remote-User"]"#)
    #expect(data["client-ca-file"] == nil)
  }
}
