import APIServer
import ArgumentParser
import Logging
import NIOSSL
import Storage
import StorageEtcd
import StorageSQLite

/// The flags that name a store.
struct DatastoreOptions: ParsableArguments {
  @Option(
    name: .customLong("datastore"),
    help: "Endpoints of etcd, separated by commas (https://…:2379,…); by default SQLite under the data directory.")
  var endpoints: String?

  @Option(name: .customLong("datastore-cafile"), help: "The authority that signed etcd's certificates (PEM).")
  var caFile: String?

  @Option(name: .customLong("datastore-certfile"), help: "The certificate to show to etcd (PEM).")
  var certFile: String?

  @Option(name: .customLong("datastore-keyfile"), help: "The key of the certificate to show to etcd (PEM).")
  var keyFile: String?

  /// What the flags say of TLS.
  var tls: DatastoreTLS { DatastoreTLS(caFile: caFile, certFile: certFile, keyFile: keyFile) }

  func validate() throws {
    guard endpoints != nil || (caFile == nil && certFile == nil && keyFile == nil) else {
      throw ValidationError("--datastore-cafile, --datastore-certfile and --datastore-keyfile go with --datastore")
    }
    guard (certFile == nil) == (keyFile == nil) else {
      throw ValidationError("--datastore-certfile and --datastore-keyfile go together")
    }
  }
}

/// Files that prove who is who between a server and its store.
struct DatastoreTLS: Sendable {
  var caFile: String?
  var certFile: String?
  var keyFile: String?

  func configuration() throws -> TLSConfiguration {
    var tls = TLSConfiguration.makeClientConfiguration()
    if let caFile {
      tls.trustRoots = .certificates(try Self.read(caFile) { try NIOSSLCertificate.fromPEMFile(caFile) })
    }
    if let certFile {
      tls.certificateChain = try Self.read(certFile) { try NIOSSLCertificate.fromPEMFile(certFile) }
        .map { .certificate($0) }
    }
    if let keyFile {
      tls.privateKey = .privateKey(try Self.read(keyFile) { try NIOSSLPrivateKey(file: keyFile, format: .pem) })
    }
    return tls
  }

  private static func read<T>(_ file: String, _ body: () throws -> T) throws -> T {
    do { return try body() } catch {
      throw StorageError.engine("\(file) cannot be read, or is not what it should be: \(error)")
    }
  }
}

/// Opens the store that a server was told to use.
enum StoreSelection {
  /// SQLite in `directory` when no endpoints are named, else etcd. Throws one clear error when the store cannot be
  /// reached within seconds. `prefix` is where etcd has Kubernetes' objects.
  static func open(
    datastore: String?, tls: DatastoreTLS, directory: String, prefix: String = "/registry", logger: Logger
  ) async throws -> any Storage {
    guard let datastore else { return try SQLiteStorage(directory: directory, logger: logger) }
    let endpoints = datastore.split(separator: ",").map { endpoint in
      String(endpoint.drop { $0 == " " }.prefix { $0 != " " })
    }
    var configuration = EtcdConfiguration(endpoints: endpoints, tls: try tls.configuration())
    configuration.layout = EtcdLayout(
      prefix: prefix,
      resources: StoredPlace.all.map {
        .init(name: $0.name, place: $0.upstream, apiVersion: $0.apiVersion, kind: $0.kind)
      })
    return try await EtcdStorage.open(configuration, logger: logger)
  }
}
