public import Logging
public import NIOCore
import NIOPosix
import NIOSSL

/// Whom a client trusts and how it identifies itself.
public struct ClientTLSOptions: Sendable {
  /// Nil trusts the system's roots.
  public var trustedCAPEM: String?
  public var certificateChainPEM: String?
  public var privateKeyPEM: String?
  public var insecureSkipVerify = false
  /// The name to expect instead of the host connected to.
  public var serverName: String?

  public init(
    trustedCAPEM: String? = nil, certificateChainPEM: String? = nil, privateKeyPEM: String? = nil,
    insecureSkipVerify: Bool = false, serverName: String? = nil
  ) {
    self.trustedCAPEM = trustedCAPEM
    self.certificateChainPEM = certificateChainPEM
    self.privateKeyPEM = privateKeyPEM
    self.insecureSkipVerify = insecureSkipVerify
    self.serverName = serverName
  }

  func makeContext(protocols: [String]) throws -> NIOSSLContext {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.minimumTLSVersion = .tlsv12
    configuration.applicationProtocols = protocols
    if insecureSkipVerify { configuration.certificateVerification = .none }
    if let trustedCAPEM {
      configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(trustedCAPEM.utf8)))
    }
    if let certificateChainPEM, let privateKeyPEM {
      configuration.certificateChain = try NIOSSLCertificate.fromPEMBytes(Array(certificateChainPEM.utf8)).map {
        .certificate($0)
      }
      configuration.privateKey = .privateKey(
        try NIOSSLPrivateKey(bytes: Array(privateKeyPEM.utf8), format: .pem))
    }
    return try NIOSSLContext(configuration: configuration)
  }
}

/// How a client connects.
public struct HTTPClientConfiguration: Sendable {
  public var tls: ClientTLSOptions
  public var group: any EventLoopGroup
  public var logger: Logger
  public var connectTimeout = TimeAmount.seconds(10)
  /// How long a peer may be silent to the kernel's questions before its connections break; nil asks only on the
  /// protocol's own level, where there is one. The kernel asks, so a quiet connection costs this process nothing.
  public var deadPeerTimeout: TimeAmount?
  /// How long an unused connection is kept.
  public var idleTimeout = TimeAmount.seconds(90)
  /// Idle HTTP/1.1 connections kept for each origin.
  public var maxIdlePerOrigin = 25
  /// Whether HTTP/2 is offered over TLS.
  public var http2 = true

  public init(
    tls: ClientTLSOptions = .init(), group: (any EventLoopGroup)? = nil,
    logger: Logger = Logger(label: "http-client")
  ) {
    self.tls = tls
    self.group = group ?? MultiThreadedEventLoopGroup.singleton
    self.logger = logger
  }
}
