internal import Crypto
internal import SwiftASN1
internal import X509

/// A certificate signing request (PKCS #10), as CertificateSigningRequest objects carry it.
public struct SigningRequest: Sendable {
  /// The subject's CN.
  public let commonName: String
  /// The subject's O.
  public let organizations: [String]
  /// Host names asked for.
  public let dnsNames: [String]
  /// Addresses asked for, as text.
  public let ipAddresses: [String]
  /// Mail addresses asked for.
  public let emailAddresses: [String]
  /// URIs asked for.
  public let uris: [String]

  let publicKey: X509.Certificate.PublicKey
  let subject: DistinguishedName
  let alternativeNames: SubjectAlternativeNames?

  /// Reads PEM and checks that the sender holds the key.
  public init(pem: String) throws {
    let request = try CertificateParts.parse("certificate request") {
      try X509.CertificateSigningRequest(pemEncoded: pem)
    }
    guard request.publicKey.isValidSignature(request.signature, for: request) else {
      throw PKIError.malformed(what: "certificate request", detail: "the signature does not match the key")
    }
    publicKey = request.publicKey
    subject = request.subject
    let attributes = request.subject.flatMap { $0 }
    commonName = attributes.last { $0.type == .RDNAttributeType.commonName }?.text ?? ""
    organizations = attributes.filter { $0.type == .RDNAttributeType.organizationName }.map(\.text)
    let names = try CertificateParts.parse("certificate request") {
      try request.attributes.extensionRequest?.extensions.subjectAlternativeNames
    }
    alternativeNames = names
    dnsNames = names?.dnsNames ?? []
    ipAddresses = names?.addresses ?? []
    emailAddresses = names?.compactMap { if case .rfc822Name(let name) = $0 { name } else { nil } } ?? []
    uris = names?.compactMap { if case .uniformResourceIdentifier(let uri) = $0 { uri } else { nil } } ?? []
  }

  /// Makes a key and a request for it.
  public static func create(
    commonName: String, organizations: [String] = [], dnsNames: [String] = [], ipAddresses: [String] = []
  ) throws -> (requestPEM: String, privateKeyPEM: String) {
    let key = X509.Certificate.PrivateKey(P256.Signing.PrivateKey())
    var attributes: [X509.CertificateSigningRequest.Attribute] = []
    if let names = try CertificateParts.alternativeNames(dnsNames, ipAddresses) {
      let extensions = try X509.Certificate.Extensions([.init(names, critical: false)])
      attributes.append(try .init(ExtensionRequest(extensions: extensions)))
    }
    let request = try X509.CertificateSigningRequest(
      version: .v1, subject: CertificateParts.subject(commonName, organizations), privateKey: key,
      attributes: .init(attributes))
    return (try request.serializeAsPEM().text, try key.serializeAsPEM().text)
  }
}
