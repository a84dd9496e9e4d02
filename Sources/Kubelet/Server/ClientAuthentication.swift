import HTTP
import Logging
import SwiftASN1
import X509

/// Who a client is, by its certificate or its token.
struct ClientIdentity: Sendable, Hashable {
  var user: String
  var groups: [String]
  var uid = ""
  var extra: [String: [String]] = [:]
}

/// Checks client certificates against the cluster's CA.
struct ClientAuthentication: Sendable {
  private let roots: [Certificate]

  /// Reads the CA's certificates from PEM.
  init(caPEM: String) throws {
    roots = try PEMDocument.parseMultiple(pemString: caPEM).map { try Certificate(pemDocument: $0) }
  }

  /// Whether a chain (DER, leaf first) leads to the CA and may be used by a client.
  func verify(_ chain: [[UInt8]]) async -> Bool {
    guard let leafBytes = chain.first, let leaf = try? Certificate(derEncoded: leafBytes) else { return false }
    if let usage = try? leaf.extensions.extendedKeyUsage, !usage.contains(.clientAuth), !usage.contains(.any) {
      return false
    }
    var verifier = Verifier(rootCertificates: CertificateStore(roots)) { RFC5280Policy() }
    let intermediates = CertificateStore(chain.dropFirst().compactMap { try? Certificate(derEncoded: $0) })
    if case .validCertificate = await verifier.validate(leaf: leaf, intermediates: intermediates) { return true }
    return false
  }

  /// The common name is the user, the organizations are the groups.
  static func identity(_ leafBytes: [UInt8]) -> ClientIdentity? {
    guard let leaf = try? Certificate(derEncoded: leafBytes) else { return nil }
    var out = ClientIdentity(user: "", groups: [])
    for part in leaf.subject {
      for attribute in part {
        guard let text = String(attribute.value) else { continue }
        if attribute.type == .RDNAttributeType.commonName { out.user = text }
        if attribute.type == .RDNAttributeType.organizationName { out.groups.append(text) }
      }
    }
    return out.user.isEmpty ? nil : out
  }
}
