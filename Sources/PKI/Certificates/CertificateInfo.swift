public import APIMachinery
internal import Crypto
internal import FoundationEssentials
internal import SwiftASN1
internal import X509

/// What a certificate says.
public struct CertificateInfo: Sendable {
  /// The subject's CN: the user's name.
  public let commonName: String
  /// The subject's O: the user's groups.
  public let organizations: [String]
  /// Host names.
  public let dnsNames: [String]
  /// Addresses as text.
  public let ipAddresses: [String]
  /// The first second it is valid.
  public let notBefore: Time
  /// The last second it is valid.
  public let notAfter: Time
  /// The serial number in hexadecimal.
  public let serialNumber: String
  /// Whether it may sign others.
  public let isAuthority: Bool
  /// The fingerprint of its key, `sha256:` and 64 hexadecimal digits: what join tokens pin.
  public let pin: String
  /// Upstream's `authentication.kubernetes.io/credential-id` for the user who shows it.
  public let credentialID: String

  private let certificate: X509.Certificate

  /// Reads DER.
  public init(der: [UInt8]) throws {
    try self.init(CertificateParts.parse("certificate") { try X509.Certificate(derEncoded: der) }, der: der)
  }

  /// Reads the first certificate of a PEM text.
  public init(pem: String) throws {
    let document = try CertificateParts.parse("certificate") { () throws -> PEMDocument in
      let documents = try PEMDocument.parseMultiple(pemString: pem)
      guard let first = documents.first(where: { $0.discriminator == "CERTIFICATE" }) else {
        throw PKIError.malformed(what: "certificate", detail: "no PEM block of type CERTIFICATE")
      }
      return first
    }
    try self.init(der: document.derBytes)
  }

  private init(_ certificate: X509.Certificate, der: [UInt8]) throws {
    self.certificate = certificate
    var names: [String] = []
    var organizations: [String] = []
    for attribute in certificate.subject.flatMap({ $0 }) {
      if attribute.type == .RDNAttributeType.commonName { names.append(attribute.text) }
      if attribute.type == .RDNAttributeType.organizationName { organizations.append(attribute.text) }
    }
    // Go takes the last CN where there are several.
    commonName = names.last ?? ""
    self.organizations = organizations
    let alternative = (try? certificate.extensions.subjectAlternativeNames) ?? SubjectAlternativeNames()
    dnsNames = alternative.dnsNames
    ipAddresses = alternative.addresses
    serialNumber = certificate.serialNumber.bytes.hexadecimal
    notBefore = Time(seconds: Int64(certificate.notValidBefore.timeIntervalSince1970))
    notAfter = Time(seconds: Int64(certificate.notValidAfter.timeIntervalSince1970))
    if case .isCertificateAuthority = try? certificate.extensions.basicConstraints {
      isAuthority = true
    } else {
      isAuthority = false
    }
    var key = DER.Serializer()
    try key.serialize(certificate.publicKey)
    pin = "sha256:" + SHA256.hash(data: key.serializedBytes).hexadecimal
    credentialID = "X509SHA256=" + SHA256.hash(data: der).hexadecimal
  }

  /// Whether another certificate's key signed this one. Says nothing about validity.
  public func isSigned(by authority: CertificateInfo) -> Bool {
    certificate.issuer == authority.certificate.subject
      && authority.certificate.publicKey.isValidSignature(certificate.signature, for: certificate)
  }

  /// Whether a private key belongs to this certificate.
  public func matches(privateKeyPEM: String) -> Bool {
    (try? X509.Certificate.PrivateKey(pemEncoded: privateKeyPEM))?.publicKey == certificate.publicKey
  }

  /// Whether it is valid at a time.
  public func isValid(at time: Time) -> Bool { notBefore <= time && time <= notAfter }
}

extension RelativeDistinguishedName.Attribute {
  /// The value as text, whatever string type it has.
  var text: String { String(value) ?? String(describing: value) }
}

extension SubjectAlternativeNames {
  var dnsNames: [String] {
    compactMap { if case .dnsName(let name) = $0 { name } else { nil } }
  }

  var addresses: [String] {
    compactMap { if case .ipAddress(let octets) = $0 { addressText(octets.bytes) } else { nil } }
  }
}

extension Sequence<UInt8> {
  var hexadecimal: String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}
