import API
import APIMachinery
import ArgumentParser
import Client
import Glibc
import PKI

/// Tokens with which machines join the cluster.
struct TokenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Make, list and delete the tokens with which machines join the cluster.",
    subcommands: [Create.self, List.self, Delete.self, Generate.self])

  /// How these commands reach the cluster.
  struct Cluster: ParsableArguments {
    @OptionGroup var directories: Directories

    @Option(help: "The kubeconfig to use; by default the administrator's in the data directory.")
    var kubeconfig: String?

    func access() throws -> ClusterAccess {
      let path = kubeconfig ?? directories.adminKubeconfig
      guard Glibc.access(path, R_OK) == 0 else {
        throw ValidationError(
          "\(path): \(String(cString: strerror(errno))) (run this on a server, or name a kubeconfig with --kubeconfig)")
      }
      return try ClusterAccess.kubeconfig(path: path)
    }

    /// Runs `body` with a client of the cluster.
    func with<R>(_ body: (APIClient, ClusterAccess) async throws -> R) async throws -> R {
      let access = try access()
      let transport = try HTTPTransport(access)
      let client = APIClient(transport: transport, userAgent: "apus/\(Version.git)")
      do {
        let result = try await body(client, access)
        await transport.shutdown()
        return result
      } catch let error as StatusError {
        await transport.shutdown()
        throw AgentError(error.message)
      } catch {
        await transport.shutdown()
        throw error
      }
    }
  }

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a token and print the whole command that joins a machine with it.")

    @OptionGroup var cluster: Cluster

    @Argument(help: "The token, when it is not to be a new one (id.secret).")
    var token: String?

    @Option(help: "How long the token is good for, as 1h30m; 0 for ever.")
    var ttl = "24h"

    @Option(help: "What the token is for, to be shown by token list.")
    var description = ""

    @Option(help: "What the token may be used for: authentication, signing.")
    var usages = "signing,authentication"

    @Option(help: "Groups that whoever joins with the token is in.")
    var groups = ClusterBootstrap.joinGroup

    @Flag(help: "Print the command for a further server instead, with the server token of the data directory.")
    var server = false

    func validate() throws {
      _ = try seconds()
      if let token, JoinToken(token) == nil {
        throw ValidationError("the token must have the form abcdef.0123456789abcdef")
      }
      for usage in list(usages) where !["authentication", "signing"].contains(usage) {
        throw ValidationError("--usages: no such usage: \(usage)")
      }
      for group in list(groups) where !group.hasPrefix("system:bootstrappers:") {
        throw ValidationError("--groups must begin with system:bootstrappers:, not \(group)")
      }
    }

    func run() async throws {
      if server { return print(try serverCommand()) }
      let token = token.flatMap { JoinToken($0) } ?? .make()
      let secret = TokenCommand.secret(
        token, expiration: try seconds().map { Time.now.adding(seconds: $0) }, description: description,
        usages: list(usages), groups: list(groups))
      let command = try await cluster.with { client, access in
        do { try await client.create(secret) } catch let error as StatusError where error.isAlreadyExists {
          throw AgentError("a token with the id \(token.id) already exists")
        }
        return try await TokenCommand.joinCommand(token, client, access)
      }
      print(command)
    }

    private func list(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }

    /// Nil: for ever.
    private func seconds() throws -> Int64? {
      if ttl == "0" { return nil }
      guard let duration = GoDuration(parsing: ttl), duration.nanoseconds >= 0 else {
        throw ValidationError("--ttl: \(ttl) is not a duration like 24h or 30m")
      }
      return duration.nanoseconds == 0 ? nil : duration.nanoseconds / 1_000_000_000
    }

    private func serverCommand() throws -> String {
      let path = "\(cluster.directories.dataDir)/server-token"
      guard let text = try AtomicFile.readText(path) else {
        throw ValidationError("\(path) does not exist: no server has started from this data directory")
      }
      guard let pid = RunningServer.pid(cluster.directories),
        let line = try AtomicFile.read("/proc/\(pid)/cmdline")
      else {
        throw ValidationError(
          "no server is running in \(cluster.directories.dataDir): a further one needs the flags of a running one")
      }
      let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      guard let command = TokenCommand.serverCommand(words, token: text.filter { !$0.isWhitespace }) else {
        throw ValidationError(
          "this server keeps its data in SQLite, which serves one server: several need etcd (--datastore)")
      }
      return command
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the tokens.")

    @OptionGroup var cluster: Cluster

    func run() async throws {
      let secrets = try await cluster.with { client, _ in
        try await client.list(
          Secret.self, namespace: "kube-system",
          options: ListOptions(fieldSelector: "type=bootstrap.kubernetes.io/token")
        ).items
      }
      print(TokenCommand.table(secrets, now: .now))
    }
  }

  struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Delete tokens: nobody joins with them any more.")

    @OptionGroup var cluster: Cluster

    @Argument(help: "Tokens, or their ids.")
    var tokens: [String]

    func validate() throws {
      for text in tokens where JoinToken(text) == nil && !JoinToken.isID(text) {
        throw ValidationError("\(text) is neither a token nor a token's id")
      }
      if tokens.isEmpty { throw ValidationError("name a token") }
    }

    func run() async throws {
      try await cluster.with { client, _ in
        for text in tokens {
          let id = JoinToken(text)?.id ?? text
          try await client.delete(Secret.self, namespace: "kube-system", name: "bootstrap-token-\(id)")
          print("bootstrap token \"\(id)\" deleted")
        }
      }
    }
  }

  struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print a new token without making it known to any cluster.")

    func run() { print(JoinToken.make().text) }
  }

  // MARK: Parts

  /// The Secret of a token, as kubeadm writes it.
  static func secret(
    _ token: JoinToken, expiration: Time?, description: String, usages: [String], groups: [String]
  ) -> Secret {
    var data = ["token-id": token.id, "token-secret": token.secret]
    if !description.isEmpty { data["description"] = description }
    if let expiration { data["expiration"] = "\(expiration)" }
    for usage in usages { data["usage-bootstrap-\(usage)"] = "true" }
    if !groups.isEmpty, usages.contains("authentication") { data["auth-extra-groups"] = groups.joined(separator: ",") }
    var secret = Secret()
    secret.metadata.namespace = "kube-system"
    secret.metadata.name = token.secretName
    secret.type = "bootstrap.kubernetes.io/token"
    secret.data = data.mapValues { Base64Bytes(Array($0.utf8)) }
    return secret
  }

  /// The command that joins a machine, with every server that there is.
  static func joinCommand(_ token: JoinToken, _ client: APIClient, _ access: ClusterAccess) async throws -> String {
    let slice = try? await client.get(EndpointSlice.self, namespace: "default", name: "kubernetes")
    let servers = slice.map { ServerList.urls($0).sorted() } ?? []
    let pin = try CertificateInfo(pem: String(decoding: access.certificateAuthority, as: UTF8.self)).pin
    return "apus agent --server \((servers.isEmpty ? [access.server] : servers).joined(separator: ",")) "
      + "--token \(token.text) --ca-hash \(pin)"
  }

  /// The command for a further server: the store and the cluster's settings as the running one was told them, which
  /// must be the same on all. Nil when that one keeps its data to itself.
  static func serverCommand(_ words: [String], token: String) -> String? {
    let shared = [
      "--datastore", "--datastore-cafile", "--datastore-certfile", "--datastore-keyfile", "--cluster-cidr",
      "--service-cidr", "--cluster-dns", "--cluster-domain",
    ]
    var copied: [String] = []
    var rest = words[...]
    while let word = rest.popFirst() {
      if shared.contains(word), let value = rest.popFirst() {
        copied += [word, value]
      } else if shared.contains(where: { word.hasPrefix($0 + "=") }) {
        copied.append(word)
      }
    }
    guard copied.contains(where: { $0 == "--datastore" || $0.hasPrefix("--datastore=") }) else { return nil }
    return (["apus", "server"] + copied + ["--token", token]).joined(separator: " ")
  }

  static func table(_ secrets: [Secret], now: Time) -> String {
    var rows = [["TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"]]
    for secret in secrets.sorted(by: { $0.metadata.name < $1.metadata.name }) {
      func text(_ key: String) -> String { String(decoding: secret.data[key]?.bytes ?? [], as: UTF8.self) }
      guard let token = JoinToken("\(text("token-id")).\(text("token-secret"))") else { continue }
      let expiration = text("expiration")
      var left = "<forever>"
      if !expiration.isEmpty {
        let seconds = Time(rfc3339: expiration).map { $0.seconds - now.seconds } ?? -1
        left = seconds < 0 ? "<invalid>" : Self.short(seconds)
      }
      let usages = ["authentication", "signing"].filter { text("usage-bootstrap-\($0)") == "true" }
      func shown(_ text: String, _ empty: String) -> String { text.isEmpty ? empty : text }
      rows.append([
        token.text, left, shown(expiration, "<never>"), shown(usages.joined(separator: ","), "<none>"),
        shown(text("description"), "<none>"), shown(text("auth-extra-groups"), "<none>"),
      ])
    }
    let widths = (0..<6).map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      row.enumerated().map { index, cell in
        index == 5 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count + 3)
      }.joined()
    }.joined(separator: "\n")
  }

  /// The largest unit, as kubectl shows ages.
  private static func short(_ seconds: Int64) -> String {
    switch seconds {
    case ..<120: "\(seconds)s"
    case ..<7200: "\(seconds / 60)m"
    case ..<172_800: "\(seconds / 3600)h"
    default: "\(seconds / 86400)d"
    }
  }
}
