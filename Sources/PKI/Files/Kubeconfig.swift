public import APIMachinery

/// A kubeconfig with one cluster, one user and one context, as upstream's tools write it.
public struct Kubeconfig: Sendable {
  /// How the user proves who it is.
  public enum Credentials: Sendable {
    /// PEM texts, embedded.
    case certificate(certificatePEM: String, privateKeyPEM: String)
    /// Paths of PEM files, read at each use, so that renewals need no new kubeconfig.
    case certificateFiles(certificate: String, key: String)
    /// A bearer token, embedded.
    case token(String)
    /// Path of a file with a bearer token.
    case tokenFile(String)
  }

  /// `https://host:port`.
  public var server: String
  /// The authority the server's certificate comes from.
  public var authorityPEM: String
  /// Name of the cluster entry.
  public var cluster: String
  /// Name of the user entry.
  public var user: String
  /// How the user proves who it is.
  public var credentials: Credentials
  /// The context's namespace, none when empty.
  public var namespace: String

  /// Makes a kubeconfig.
  public init(
    server: String, authorityPEM: String, cluster: String = "kubernetes", user: String, credentials: Credentials,
    namespace: String = ""
  ) {
    self.server = server
    self.authorityPEM = authorityPEM
    self.cluster = cluster
    self.user = user
    self.credentials = credentials
    self.namespace = namespace
  }

  /// The YAML text.
  public var yaml: String {
    let context = "\(user)@\(cluster)"
    var lines = [
      "apiVersion: v1",
      "clusters:",
      "- cluster:",
      "    certificate-authority-data: \(Self.base64(authorityPEM))",
      "    server: \(Self.scalar(server))",
      "  name: \(Self.scalar(cluster))",
      "contexts:",
      "- context:",
      "    cluster: \(Self.scalar(cluster))",
    ]
    if !namespace.isEmpty { lines.append("    namespace: \(Self.scalar(namespace))") }
    lines += [
      "    user: \(Self.scalar(user))",
      "  name: \(Self.scalar(context))",
      "current-context: \(Self.scalar(context))",
      "kind: Config",
      "preferences: {}",
      "users:",
      "- name: \(Self.scalar(user))",
      "  user:",
    ]
    switch credentials {
    case .certificate(let certificate, let key):
      lines.append("    client-certificate-data: \(Self.base64(certificate))")
      lines.append("    client-key-data: \(Self.base64(key))")
    case .certificateFiles(let certificate, let key):
      lines.append("    client-certificate: \(Self.scalar(certificate))")
      lines.append("    client-key: \(Self.scalar(key))")
    case .token(let token): lines.append("    token: \(Self.scalar(token))")
    case .tokenFile(let path): lines.append("    tokenFile: \(Self.scalar(path))")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Writes the file, readable by its owner only.
  public func write(to path: String) throws { try AtomicFile.write(yaml, to: path) }

  private static func base64(_ text: String) -> String { Base64Bytes(Array(text.utf8)).base64 }

  /// Plain where YAML reads the text back as it is, quoted as JSON otherwise.
  private static func scalar(_ text: String) -> String {
    let plain = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
      case UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "/"), UInt8(ascii: ":"),
        UInt8(ascii: "@"):
        true
      default: false
      }
    }
    let words: Set<String> = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
    let startsPlain = text.utf8.first.map { ($0 | 0x20) >= UInt8(ascii: "a") || $0 == UInt8(ascii: "/") } ?? false
    if plain, startsPlain, !text.hasSuffix(":"), !words.contains(text.lowercased()) { return text }
    return String(decoding: text.encoded(), as: UTF8.self)
  }
}
