import NIOCore
import NIOSSL
import Synchronization

/// What a server needs to speak TLS.
public struct TLSOptions: Sendable {
  /// The serving certificate and its intermediates, leaf first.
  public var certificateChainPEM: String
  public var privateKeyPEM: String
  /// Asked for every client chain (DER, leaf first). Set means: clients are asked for a certificate. A chain that is
  /// refused here does not fail the handshake; the request carries `TLSPeer.verified == false`.
  public var verifyClient: (@Sendable ([[UInt8]]) async -> Bool)?
  public var applicationProtocols: [String]

  public init(
    certificateChainPEM: String, privateKeyPEM: String,
    verifyClient: (@Sendable ([[UInt8]]) async -> Bool)? = nil,
    applicationProtocols: [String] = ["h2", "http/1.1"]
  ) {
    self.certificateChainPEM = certificateChainPEM
    self.privateKeyPEM = privateKeyPEM
    self.verifyClient = verifyClient
    self.applicationProtocols = applicationProtocols
  }

  func makeContext() throws -> NIOSSLContext {
    let chain = try NIOSSLCertificate.fromPEMBytes(Array(certificateChainPEM.utf8)).map {
      NIOSSLCertificateSource.certificate($0)
    }
    let key = try NIOSSLPrivateKey(bytes: Array(privateKeyPEM.utf8), format: .pem)
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain, privateKey: .privateKey(key))
    configuration.minimumTLSVersion = .tlsv12
    configuration.applicationProtocols = applicationProtocols
    if verifyClient != nil {
      configuration.certificateVerification = .optionalVerification
    }
    return try NIOSSLContext(configuration: configuration)
  }
}

/// Collects what one handshake learns about the client.
final class TLSPeerBox: Sendable {
  private let state = Mutex<TLSPeer?>(nil)
  var peer: TLSPeer? { state.withLock { $0 } }

  func learn(_ certificates: [[UInt8]], verified: Bool) {
    state.withLock { $0 = TLSPeer(certificates: certificates, verified: verified) }
  }

  /// The peer of a connection whose handshake is over, even when it presented nothing.
  func settled() -> TLSPeer {
    state.withLock { s in
      if let s { return s }
      let none = TLSPeer(certificates: [], verified: false)
      s = none
      return none
    }
  }
}
