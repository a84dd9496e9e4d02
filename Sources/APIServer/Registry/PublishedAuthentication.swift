import API
import APIMachinery
import PKI

/// Tells components and extension servers whom to believe: they read the authorities of clients and of the front proxy
/// from the ConfigMap `extension-apiserver-authentication`.
struct PublishedAuthentication: Sendable {
  static let namespace = "kube-system"
  static let name = "extension-apiserver-authentication"

  let registry: Registry
  let configuration: APIServerConfiguration

  /// Makes the ConfigMap, or adds to it what this server trusts and it does not have.
  func run() async throws {
    var map = ConfigMap()
    map.metadata.namespace = Self.namespace
    map.metadata.name = Self.name
    let configuration = configuration
    try await Bootstrap(registry: registry).ensure(map) { Self.fill(&$0.data, configuration) }
  }

  static func fill(_ data: inout [String: String], _ configuration: APIServerConfiguration) {
    if let own = configuration.clientCAPEM { data["client-ca-file"] = joined(data["client-ca-file"] ?? "", own) }
    guard let own = configuration.requestHeaderClientCAPEM else { return }
    let key = "requestheader-client-ca-file"
    data[key] = joined(data[key] ?? "", own)
    for (name, values) in [
      ("allowed-names", configuration.requestHeaderAllowedNames),
      ("username-headers", configuration.requestHeaderUsernameHeaders),
      ("group-headers", configuration.requestHeaderGroupHeaders),
      ("extra-headers-prefix", configuration.requestHeaderExtraHeaderPrefixes),
      ("uid-headers", configuration.requestHeaderUIDHeaders),
    ] {
      data["requestheader-\(name)"] = String(
        decoding: JSONValue.array(values.map { .string($0) }).encoded(), as: UTF8.self)
    }
  }

  /// The certificates of both texts, each once: several servers publish in the same place. What has expired is left
  /// out.
  static func joined(_ present: String, _ own: String, now: Time = .now) -> String {
    var blocks: [String] = []
    for text in [present, own] {
      for block in certificates(text) where !blocks.contains(block) {
        if let certificate = try? CertificateInfo(pem: block), certificate.notAfter < now { continue }
        blocks.append(block)
      }
    }
    return blocks.joined()
  }

  private static func certificates(_ text: String) -> [String] {
    var blocks: [String] = []
    var block: String?
    for line in text.split(separator: "\n") {
      if line.hasPrefix("-----BEGIN CERTIFICATE-----") { block = "" }
      block?.append("\(line)\n")
      if line.hasPrefix("-----END CERTIFICATE-----"), let whole = block {
        blocks.append(whole)
        block = nil
      }
    }
    return blocks
  }
}
