import API
import Glibc
import HTTP
import Logging
import NIOCore

extension Kubelet {
  /// Starts the HTTPS server, if it is wanted and has a certificate.
  func startServer() async throws -> HTTPServer? {
    guard configuration.enableServer, let certificate = configuration.tlsCertificateFile,
      let key = configuration.tlsPrivateKeyFile
    else { return nil }
    var serving = HTTPServerConfiguration(
      address: .tcp(host: configuration.address, port: configuration.port),
      tls: try tlsOptions(certificate, key), logger: logger)
    // Terminals and followed logs stand still for hours.
    serving.writeTimeout = .hours(4)
    let server = HTTPServer(configuration: serving)
    let bound = try await server.start(makeHandler(authenticates: true))
    serverStarted(bound)
    logger.info("kubelet server listens", metadata: ["port": "\(bound)"])
    return server
  }

  private func tlsOptions(_ certificate: String, _ key: String) throws -> TLSOptions {
    let authentication = try configuration.clientCAFile.map { try ClientAuthentication(caPEM: try Files.text($0)) }
    return TLSOptions(
      certificateChainPEM: try Files.text(certificate), privateKeyPEM: try Files.text(key),
      // Without a CA nobody can be verified by certificate; tokens are still asked about.
      verifyClient: { chain in await authentication?.verify(chain) ?? false })
  }

  /// Serves with a renewed certificate as soon as its files change, until cancelled.
  func renewCertificate(of server: HTTPServer) async {
    guard let certificate = configuration.tlsCertificateFile, let key = configuration.tlsPrivateKeyFile else { return }
    let files = [certificate, key, configuration.clientCAFile].compactMap { $0 }
    // A file that was renewed is another file: looking at their status is enough, and costs nothing.
    func state() -> [FileState?] { files.map { FileState($0) } }
    var served = state()
    while !Task.isCancelled {
      do { try await Task.sleep(for: configuration.certificateCheckPeriod) } catch { return }
      let now = state()
      if now == served { continue }
      do {
        try server.reloadTLS(try tlsOptions(certificate, key))
        served = now
      } catch {
        // Half-written files are whole in a moment.
        logger.warning("reading the renewed certificate failed", metadata: ["error": "\(error)"])
      }
    }
  }

  /// What tells a file from the one that took its place.
  private struct FileState: Equatable {
    var inode: UInt64
    var size: Int64
    var seconds: Int
    var nanoseconds: Int

    init?(_ path: String) {
      var found = stat()
      guard stat(path, &found) == 0 else { return nil }
      inode = UInt64(found.st_ino)
      size = Int64(found.st_size)
      seconds = found.st_mtim.tv_sec
      nanoseconds = found.st_mtim.tv_nsec
    }
  }

  /// The kubelet's API as a handler.
  func makeHandler(authenticates: Bool) -> KubeletHandler {
    let workers = workers
    let statuses = statuses
    let pleg = pleg
    let reader = reader
    return KubeletHandler(
      p: ServerParts(
        engine: engine, reader: reader,
        pods: {
          workers.pods.map { pod in
            var pod = pod
            if let status = statuses.status(uid: pod.metadata.uid) { pod.status = status }
            return pod
          }.sorted { ($0.metadata.namespace, $0.metadata.name) < ($1.metadata.namespace, $1.metadata.name) }
        },
        runningPods: {
          var out: [Pod] = []
          for known in pleg.known {
            let runtime = try await reader.pod(uid: known.uid, name: known.name, namespace: known.namespace)
            guard runtime.isRunning else { continue }
            var pod = Pod()
            pod.metadata.name = known.name
            pod.metadata.namespace = known.namespace
            pod.metadata.uid = known.uid
            pod.spec.containers = runtime.containers.filter { $0.state == .running }.map {
              var container = Container()
              container.name = $0.name
              container.image = $0.image
              return container
            }
            out.append(pod)
          }
          return out
        },
        authorizer: NodeAuthorizer(client: client, nodeName: configuration.nodeName, clock: clock),
        tokens: TokenAuthenticator(client: client, clock: clock),
        authenticates: authenticates, configuration: configuration,
        stats: StatsProvider(
          engine: engine, nodeName: configuration.nodeName, rootDirectory: configuration.rootDirectory, clock: clock),
        health: { pleg.problem }, streaming: HTTPClient(configuration: HTTPClientConfiguration(logger: logger)),
        logger: logger))
  }
}
