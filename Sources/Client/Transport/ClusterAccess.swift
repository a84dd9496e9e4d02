import Foundation
import Yams

/// Where an API server is and how to prove who one is: what a kubeconfig's context or a pod's service account says.
public struct ClusterAccess: Sendable, Equatable {
  /// The servers' URLs, the preferred one first: any of them serves the cluster.
  public var servers: [String] = []
  /// The preferred server's URL; empty when there is none.
  public var server: String {
    get { servers.first ?? "" }
    set { servers = [newValue] + servers.dropFirst() }
  }
  /// The CA's certificates, PEM; empty: the system's.
  public var certificateAuthority: [UInt8] = []
  /// The name to check the server's certificate against, when it is not the URL's host.
  public var serverName: String?
  /// Accept any server certificate.
  public var insecureSkipVerify = false
  /// The client certificate, PEM.
  public var clientCertificate: [UInt8] = []
  /// Its key, PEM.
  public var clientKey: [UInt8] = []
  /// A bearer token.
  public var token: String?
  /// A file to read the bearer token from, again and again: it is renewed in place.
  public var tokenFile: String?
  /// Basic authentication.
  public var basic: BasicCredentials?
  /// The namespace of the context.
  public var namespace: String?

  /// A user name and a password.
  public struct BasicCredentials: Sendable, Equatable {
    /// The user's name.
    public var username: String
    /// The password.
    public var password: String

    /// Makes credentials.
    public init(username: String, password: String) {
      self.username = username
      self.password = password
    }
  }

  /// Access to nothing yet.
  public init() {}

  /// Access without credentials.
  public init(server: String) { servers = [server] }

  /// Access to any of several servers without credentials.
  public init(servers: [String]) { self.servers = servers }

  /// What a pod finds in its file system and environment; nil outside a pod.
  public static func inCluster(
    environment: [String: String]? = nil,
    directory: String = "/var/run/secrets/kubernetes.io/serviceaccount"
  ) throws -> ClusterAccess? {
    let environment = environment ?? ProcessInfo.processInfo.environment
    guard let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty,
      let port = environment["KUBERNETES_SERVICE_PORT"], !port.isEmpty
    else { return nil }
    var access = ClusterAccess()
    access.server = "https://" + (host.contains(":") ? "[\(host)]" : host) + ":\(port)"
    access.tokenFile = directory + "/token"
    access.certificateAuthority = try read(directory + "/ca.crt")
    access.namespace = try? String(decoding: read(directory + "/namespace"), as: UTF8.self)
    return access
  }

  /// Reads a kubeconfig file; relative paths in it are relative to the file.
  public static func kubeconfig(path: String, context: String? = nil) throws -> ClusterAccess {
    let text = String(decoding: try read(path), as: UTF8.self)
    let directory = path.contains("/") ? String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) : "."
    return try kubeconfig(yaml: text, context: context, relativeTo: directory)
  }

  /// Reads a kubeconfig.
  public static func kubeconfig(
    yaml: String, context: String? = nil, relativeTo directory: String = "."
  ) throws -> ClusterAccess {
    guard let root = try Yams.compose(yaml: yaml) else { throw TransportError("kubeconfig is empty") }
    let name = context ?? root["current-context"]?.string ?? ""
    guard !name.isEmpty else { throw TransportError("kubeconfig has no current-context") }
    guard let chosen = entry(root, "contexts", name, "context") else {
      throw TransportError("context \"\(name)\" does not exist")
    }
    let clusterName = chosen["cluster"]?.string ?? ""
    guard let cluster = entry(root, "clusters", clusterName, "cluster") else {
      throw TransportError("cluster \"\(clusterName)\" does not exist")
    }
    var access = ClusterAccess()
    access.server = cluster["server"]?.string ?? ""
    access.certificateAuthority =
      try bytes(cluster, "certificate-authority-data", file: "certificate-authority", directory) ?? []
    access.serverName = cluster["tls-server-name"]?.string
    access.insecureSkipVerify = cluster["insecure-skip-tls-verify"]?.bool ?? false
    access.namespace = chosen["namespace"]?.string
    let userName = chosen["user"]?.string ?? ""
    if let user = entry(root, "users", userName, "user") {
      access.clientCertificate =
        try bytes(user, "client-certificate-data", file: "client-certificate", directory) ?? []
      access.clientKey = try bytes(user, "client-key-data", file: "client-key", directory) ?? []
      access.token = user["token"]?.string
      access.tokenFile = user["tokenFile"]?.string.map { resolve($0, directory) }
      if let name = user["username"]?.string {
        access.basic = BasicCredentials(username: name, password: user["password"]?.string ?? "")
      }
    }
    return access
  }

  private static func entry(_ root: Node, _ list: String, _ name: String, _ key: String) -> Node? {
    root[list]?.sequence?.first { $0["name"]?.string == name }?[key]
  }

  /// Inline data wins over a file, as in client-go.
  private static func bytes(
    _ node: Node, _ data: String, file: String, _ directory: String
  ) throws -> [UInt8]? {
    if let text = node[data]?.string, !text.isEmpty {
      guard let decoded = Data(base64Encoded: text, options: .ignoreUnknownCharacters) else {
        throw TransportError("\(data) is not base64")
      }
      return Array(decoded)
    }
    guard let path = node[file]?.string, !path.isEmpty else { return nil }
    return try read(resolve(path, directory))
  }

  private static func resolve(_ path: String, _ directory: String) -> String {
    path.hasPrefix("/") ? path : directory + "/" + path
  }

  static func read(_ path: String) throws -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw TransportError("cannot read \(path)")
    }
    return Array(data)
  }
}
