import API
import PKI

extension Directories {
  /// What an agent keeps of its membership in a cluster.
  var agent: String { "\(dataDir)/agent" }
}

/// What an agent remembers between two starts, each thing a file that is there whole or not at all:
///
///     ca.crt        whom it trusts                    client.pem    who it is: certificate and key
///     servers       one URL a line, preferred first   serving.pem   what its kubelet serves with
///     settings      the cluster's, as last seen
struct AgentStore: Sendable {
  enum Pair: String, Sendable {
    case client, serving
  }

  let directory: String

  func prepare() throws { try AtomicFile.makeDirectory(directory) }

  var authorityPath: String { "\(directory)/ca.crt" }
  func path(_ pair: Pair) -> String { "\(directory)/\(pair.rawValue).pem" }

  var authority: String? { try? AtomicFile.readText(authorityPath) }
  func save(authority: String) throws { try AtomicFile.write(authority, to: authorityPath, mode: 0o644) }

  /// Certificate and key in one file: they change together.
  func pair(_ pair: Pair) -> IssuedCertificate? {
    guard let text = try? AtomicFile.readText(path(pair)) else { return nil }
    guard
      let key = text.firstRange(of: "-----BEGIN PRIVATE KEY-----")
        ?? text.firstRange(of: "-----BEGIN EC PRIVATE KEY-----")
    else { return nil }
    let found = IssuedCertificate(
      certificatePEM: String(text[..<key.lowerBound]), privateKeyPEM: String(text[key.lowerBound...]))
    guard let info = try? CertificateInfo(pem: found.certificatePEM), info.matches(privateKeyPEM: found.privateKeyPEM)
    else { return nil }
    return found
  }

  func save(_ issued: IssuedCertificate, as pair: Pair) throws {
    let certificate = issued.certificatePEM
    let separator = certificate.hasSuffix("\n") ? "" : "\n"
    try AtomicFile.write(certificate + separator + issued.privateKeyPEM, to: path(pair))
  }

  var servers: [String] {
    get throws {
      try AtomicFile.readText("\(directory)/servers")?.split(separator: "\n").map(String.init) ?? []
    }
  }
  func save(servers: [String]) throws {
    try AtomicFile.write(servers.map { $0 + "\n" }.joined(), to: "\(directory)/servers", mode: 0o644)
  }

  var settings: ClusterSettings? {
    guard let bytes = try? AtomicFile.read("\(directory)/settings"),
      let data = try? [String: String].decode(bytes)
    else { return nil }
    return ClusterSettings(data)
  }
  func save(_ settings: ClusterSettings) throws {
    try AtomicFile.write(settings.data.encoded(), to: "\(directory)/settings", mode: 0o644)
  }
}
