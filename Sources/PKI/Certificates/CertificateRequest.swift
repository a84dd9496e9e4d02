/// What a new certificate should say.
public struct CertificateRequest: Sendable, Hashable {
  /// What a certificate may be used for.
  public enum Usage: String, Sendable, Hashable, CaseIterable {
    case digitalSignature = "digital signature"
    case keyEncipherment = "key encipherment"
    case clientAuth = "client auth"
    case serverAuth = "server auth"
  }

  /// The subject's CN: the user's name.
  public var commonName: String
  /// The subject's O: the user's groups.
  public var organizations: [String]
  /// Host names.
  public var dnsNames: [String]
  /// IPv4 and IPv6 addresses as text.
  public var ipAddresses: [String]
  /// What it is for; signing and key encipherment are added.
  public var usages: Set<Usage>
  /// Seconds until it expires.
  public var validity: Int64

  /// A year, in seconds.
  public static let year: Int64 = 365 * 24 * 3600

  /// Makes a request.
  public init(
    commonName: String, organizations: [String] = [], dnsNames: [String] = [], ipAddresses: [String] = [],
    usages: Set<Usage>, validity: Int64 = year
  ) {
    self.commonName = commonName
    self.organizations = organizations
    self.dnsNames = dnsNames
    self.ipAddresses = ipAddresses
    self.usages = usages
    self.validity = validity
  }
}

/// A certificate and its key, both PEM.
public struct IssuedCertificate: Sendable, Hashable {
  /// The certificate.
  public var certificatePEM: String
  /// Its private key (PKCS #8).
  public var privateKeyPEM: String

  /// Makes a pair.
  public init(certificatePEM: String, privateKeyPEM: String) {
    self.certificatePEM = certificatePEM
    self.privateKeyPEM = privateKeyPEM
  }
}
