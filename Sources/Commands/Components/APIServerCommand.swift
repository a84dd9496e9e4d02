import APIServer
import ArgumentParser
import Linux
import Logging
import NIOPosix
import PKI
import ServiceLifecycle
import Storage

/// The API server by itself, in place of upstream's kube-apiserver.
struct APIServerCommand: ComponentCommand {
  static let configuration = CommandConfiguration(
    commandName: "kube-apiserver", abstract: "Run the API server, as kube-apiserver.")

  @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

  static let flags = GoFlags(
    component: "kube-apiserver", CommonFlags.base + store + serving + identity + limits + APIServerFlags.shared,
    elsewhere: [
      "storage-backend": "--etcd-servers selects etcd, --datastore-dir SQLite",
      "storage-media-type": "objects are stored as JSON",
      "service-account-extend-token-expiration": "tokens of kubelets are always extended",
      "admission-control-config-file": "not yet", "egress-selector-config-file": "nodes are reached directly",
    ])

  private static let store: [GoFlag] = [
    .list("etcd-servers", "", "etcd's endpoints (scheme://ip:port), separated by commas."),
    .text("etcd-cafile", "", "The authority that signed etcd's certificates (PEM)."),
    .text("etcd-certfile", "", "The certificate to show to etcd (PEM)."),
    .text("etcd-keyfile", "", "Its key (PEM)."),
    .text("etcd-prefix", "/registry", "The prefix of all keys in etcd."),
    .duration("etcd-compaction-interval", "5m0s", "Taken and not used: history is compacted every five minutes."),
    .text("datastore-dir", "", "apus: a directory for SQLite in place of etcd."),
    .duration("event-ttl", "1h0m0s", "How long events are kept."),
  ]

  private static let serving: [GoFlag] = [
    .text("bind-address", "0.0.0.0", "The address on which to serve."),
    .integer("secure-port", 6443, "The port on which to serve."),
    .text("advertise-address", "", "The address that the kubernetes Service leads to."),
    .text("tls-cert-file", "", "The serving certificate (PEM)."),
    .text("tls-private-key-file", "", "Its key (PEM)."),
    .text("cert-dir", "/var/run/kubernetes", "Where a certificate is made when none is given."),
    .text("service-cluster-ip-range", "10.96.0.0/12", "The addresses of Services."),
    .text("service-node-port-range", "30000-32767", "The ports of NodePort Services."),
    .flag("allow-privileged", true, "Must be true: what may be privileged is admission's to say."),
    .list("runtime-config", "", "Taken and not used: all versions that are served are on."),
    .text("external-hostname", "", "Taken and not used."),
    .text("endpoint-reconciler-type", "lease", "How the kubernetes Service is kept: lease."),
    .text("kubelet-client-certificate", "", "The certificate to show to kubelets (PEM)."),
    .text("kubelet-client-key", "", "Its key (PEM)."),
    .text("kubelet-certificate-authority", "", "Who signed kubelets' serving certificates (PEM)."),
    .list(
      "kubelet-preferred-address-types", "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP",
      "The kinds of nodes' addresses, in the order in which they are tried."),
    .duration("kubelet-timeout", "5s", "Taken and not used."),
  ]

  private static let identity: [GoFlag] = [
    .text("client-ca-file", "", "Who signs clients' certificates (PEM)."),
    .list("service-account-key-file", "", "Keys that verify service accounts' tokens (PEM)."),
    .text("service-account-signing-key-file", "", "The key that signs service accounts' tokens (PEM)."),
    .list("service-account-issuer", "https://kubernetes.default.svc.cluster.local", "The tokens' issuer."),
    .list("api-audiences", "", "Whom tokens must be for; the issuer by default."),
    .duration("service-account-max-token-expiration", "0s", "How long a token lives at most; 0 for as long as asked."),
    .flag("service-account-lookup", true, "Must be true: tokens of accounts that are gone are refused."),
    .text("proxy-client-cert-file", "", "Identifies this server to extension servers."),
    .text("proxy-client-key-file", "", "The key of that certificate."),
  ]

  private static let limits: [GoFlag] = [
    .integer("max-requests-inflight", 400, "How many reads may be under way."),
    .integer("max-mutating-requests-inflight", 200, "How many writes may be under way."),
    .integer("min-request-timeout", 1800, "Seconds after which a watch ends, doubled at random."),
    .duration("request-timeout", "1m0s", "Taken and not used."),
    .duration("shutdown-delay-duration", "0s", "Taken and not used."),
    .text("goaway-chance", "0", "Taken and not used."),
  ]

  func services(
    _ values: FlagValues, logger: @escaping @Sendable (String) -> Logger
  ) async throws -> [any Service] {
    let configuration = try settings(values)
    let endpoints = values.list("etcd-servers")
    guard endpoints.isEmpty != values.text("datastore-dir").isEmpty else {
      throw FlagError("--etcd-servers must be specified (or apus's --datastore-dir, for SQLite)")
    }
    let storage = try await StoreSelection.open(
      datastore: endpoints.isEmpty ? nil : endpoints.joined(separator: ","),
      tls: DatastoreTLS(
        caFile: values.path("etcd-cafile"), certFile: values.path("etcd-certfile"), keyFile: values.path("etcd-keyfile")
      ),
      directory: values.text("datastore-dir"), prefix: values.text("etcd-prefix"), logger: logger("store"))
    let server = try APIServer(
      configuration: configuration, storage: storage, group: MultiThreadedEventLoopGroup.singleton,
      logger: logger("kube-apiserver"))
    try await server.start()
    return [
      Component("kube-apiserver") {
        try await server.run()
        await storage.close()
      }
    ]
  }

  private func settings(_ values: FlagValues) throws -> APIServer.Configuration {
    var settings = APIServer.Configuration()
    settings.bindAddress = values.text("bind-address")
    settings.port = values.integer("secure-port")
    settings.advertiseAddress =
      values.path("advertise-address")
      ?? (["0.0.0.0", "::"].contains(settings.bindAddress) ? HostNetwork.nodeAddress() : settings.bindAddress)
    settings.serviceCIDR = values.list("service-cluster-ip-range").first ?? "10.96.0.0/12"
    let ports = values.text("service-node-port-range").split(separator: "-").compactMap { Int($0) }
    guard ports.count == 2, ports[0] <= ports[1] else {
      throw FlagError("--service-node-port-range must be like 30000-32767")
    }
    settings.serviceNodePortRange = ports[0]...ports[1]
    (settings.servingCertificateFile, settings.servingKeyFile) = try serving(values)
    settings.clientCAFile = values.path("client-ca-file")
    guard let signing = values.path("service-account-signing-key-file") else {
      throw FlagError("--service-account-signing-key-file must be specified")
    }
    settings.serviceAccountKeyFile = signing
    settings.serviceAccountVerificationKeysPEM = try values.list("service-account-key-file").map { path in
      guard let text = try AtomicFile.readText(path) else { throw FlagError("\(path) does not exist") }
      return text
    }
    settings.serviceAccountIssuer = values.list("service-account-issuer").first ?? settings.serviceAccountIssuer
    settings.audiences = values.list("api-audiences")
    settings.serviceAccountMaxTokenExpiration =
      values.duration("service-account-max-token-expiration").components.seconds
    guard values.text("endpoint-reconciler-type") == "lease" else {
      throw FlagError("--endpoint-reconciler-type must be lease")
    }
    try APIServerFlags.apply(values, to: &settings)
    settings.proxyClientCertificateFile = values.path("proxy-client-cert-file")
    settings.proxyClientKeyFile = values.path("proxy-client-key-file")
    settings.kubeletClientCertificateFile = values.path("kubelet-client-certificate")
    settings.kubeletClientKeyFile = values.path("kubelet-client-key")
    settings.kubeletCAFile = values.path("kubelet-certificate-authority")
    settings.kubeletPreferredAddressTypes = values.list("kubelet-preferred-address-types")
    settings.maxRequestsInFlight = values.integer("max-requests-inflight")
    settings.maxMutatingRequestsInFlight = values.integer("max-mutating-requests-inflight")
    settings.minRequestTimeoutSeconds = values.integer("min-request-timeout")
    settings.eventSecondsToLive = Int(values.duration("event-ttl").components.seconds)
    settings.gitVersion = Version.git
    return settings
  }

  /// The files of the serving certificate and its key, made where none are given and none are there.
  private func serving(_ values: FlagValues) throws -> (String, String) {
    if let certificate = values.path("tls-cert-file"), let key = values.path("tls-private-key-file") {
      for file in [certificate, key] where try AtomicFile.readText(file) == nil {
        throw FlagError("\(file) does not exist")
      }
      return (certificate, key)
    }
    let directory = values.text("cert-dir")
    let (chain, key) = ("\(directory)/apiserver.crt", "\(directory)/apiserver.key")
    if try AtomicFile.readText(chain) != nil, try AtomicFile.readText(key) != nil { return (chain, key) }
    let addresses = ["127.0.0.1", "::1", ServerParts.firstAddress(of: values.text("service-cluster-ip-range"))]
    let made = try CertificateAuthority.create(commonName: "apiserver-ca").issue(
      CertificateRequest(
        commonName: "apiserver",
        dnsNames: ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"],
        ipAddresses: addresses + (HostNetwork.nodeAddress().map { [$0] } ?? []), usages: [.serverAuth]))
    try AtomicFile.makeDirectory(directory, mode: 0o755)
    try AtomicFile.write(made.privateKeyPEM, to: key)
    try AtomicFile.write(made.certificatePEM, to: chain, mode: 0o644)
    return (chain, key)
  }
}
