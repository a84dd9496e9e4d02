import API
import Client
import Logging
import PKI

/// Gets a node's certificates by CertificateSigningRequest.
struct CertificateRequester: Sendable {
  let client: APIClient
  let nodeName: String
  /// Between two looks whether it has been signed.
  var interval: Duration = .milliseconds(200)
  var patience: Duration = .seconds(300)

  /// The certificate with which the node speaks to servers.
  func clientCertificate() async throws -> IssuedCertificate {
    let made = try SigningRequest.create(commonName: "system:node:\(nodeName)", organizations: ["system:nodes"])
    return try await issue(
      made, signer: "kubernetes.io/kube-apiserver-client-kubelet", usages: ["digital signature", "client auth"])
  }

  /// The certificate that the kubelet serves with.
  func servingCertificate(addresses: [String]) async throws -> IssuedCertificate {
    let made = try SigningRequest.create(
      commonName: "system:node:\(nodeName)", organizations: ["system:nodes"], dnsNames: [nodeName],
      ipAddresses: addresses)
    return try await issue(
      made, signer: "kubernetes.io/kubelet-serving", usages: ["digital signature", "server auth"])
  }

  private func issue(
    _ made: (requestPEM: String, privateKeyPEM: String), signer: String, usages: [String]
  ) async throws -> IssuedCertificate {
    var request = CertificateSigningRequest()
    request.metadata.generateName = "csr-"
    request.spec.request = Base64Bytes(Array(made.requestPEM.utf8))
    request.spec.signerName = signer
    request.spec.usages = usages
    request = try await client.create(request)
    let clock = ContinuousClock()
    let deadline = clock.now + patience
    while true {
      for condition in request.status.conditions where condition.status == "True" {
        if condition.type == "Denied" || condition.type == "Failed" {
          throw AgentError(
            "the certificate request \(request.metadata.name) was \(condition.type.lowercased()): \(condition.message)")
        }
      }
      if !request.status.certificate.isEmpty {
        let pem = request.status.certificate.string
        guard try CertificateInfo(pem: pem).matches(privateKeyPEM: made.privateKeyPEM) else {
          throw AgentError("the certificate of \(request.metadata.name) belongs to another key")
        }
        return IssuedCertificate(certificatePEM: pem, privateKeyPEM: made.privateKeyPEM)
      }
      guard clock.now < deadline else {
        throw AgentError(
          "nobody signed the certificate request \(request.metadata.name): kubectl certificate approve does")
      }
      try await Task.sleep(for: interval)
      request = try await client.get(CertificateSigningRequest.self, name: request.metadata.name)
    }
  }
}

/// When a certificate is to be renewed: in the eighth or ninth tenth of its life, as upstream's kubelet does it, so that
/// many nodes that joined together do not come back together.
enum CertificateRenewal {
  static func time(_ info: CertificateInfo, fraction: Double) -> Time {
    let life = Double(info.notAfter.seconds - info.notBefore.seconds)
    return Time(seconds: info.notBefore.seconds + Int64(life * (0.7 + 0.2 * fraction)))
  }
}
