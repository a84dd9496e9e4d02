import Client
import Logging

/// The flags that every stand-alone component has.
enum CommonFlags {
  static let base: [GoFlag] = [
    .flag("version", false, "Print the version and end."),
    .integer("v", 2, "How much to log: 0 to 1 notices, 2 to 3 information, 4 and more debugging."),
    .list("vmodule", "", "Taken and not used: levels are set for the whole component by -v."),
    .text("logging-format", "text", "Permitted formats: \"text\"."),
    .list("feature-gates", "", "Names with =true or =false, of upstream's features."),
    .list("emulated-version", "", "Must be 1.36 where it is given."),
    .flag("profiling", true, "Taken and not used: there is no profile to serve."),
    .flag("contention-profiling", false, "Taken and not used."),
    .text("show-hidden-metrics-for-version", "", "Taken and not used: no metric is hidden."),
  ]

  static let access: [GoFlag] = [
    .text("kubeconfig", "", "Path to a kubeconfig with the API server's address and this component's credentials."),
    .text("master", "", "The API server's address; overrides that of the kubeconfig."),
    .text("kube-api-content-type", "", "Taken and not used: JSON is spoken, which every API server does."),
    .integer("kube-api-burst", 30, "Taken and not used: the server's priority and fairness limits requests."),
    .text("kube-api-qps", "20", "Taken and not used: see --kube-api-burst."),
  ]

  static func leaderElection(_ lease: String, initial: Bool = true) -> [GoFlag] {
    [
      .flag("leader-elect", initial, "Wait for the lead before doing anything, so that several may be started."),
      .duration("leader-elect-lease-duration", "15s", "How long others wait for a silent leader."),
      .duration("leader-elect-renew-deadline", "10s", "How long the leader tries to renew before it gives up."),
      .duration("leader-elect-retry-period", "2s", "How often each tries."),
      .text("leader-elect-resource-lock", "leases", "The kind of lock: leases."),
      .text("leader-elect-resource-name", lease, "The lock's name."),
      .text("leader-elect-resource-namespace", "kube-system", "The lock's namespace."),
    ]
  }

  static func serving(port: Int) -> [GoFlag] {
    [
      .integer("secure-port", port, "The port of health checks and metrics over HTTPS; 0 for none."),
      .text("bind-address", "0.0.0.0", "The address of --secure-port."),
      .text("tls-cert-file", "", "The serving certificate (PEM); one is made when none is given."),
      .text("tls-private-key-file", "", "The serving certificate's key (PEM)."),
      .text("cert-dir", "", "Taken and not used: a certificate that was made is kept in memory."),
      .text("client-ca-file", "", "Who signs clients' certificates; by default as the API server publishes it."),
      .text("authentication-kubeconfig", "", "With whose rights tokens are reviewed; empty: --kubeconfig."),
      .text("authorization-kubeconfig", "", "With whose rights access is reviewed; empty: --kubeconfig."),
      .flag("authentication-skip-lookup", false, "Do not read the API server's client CA."),
      .flag("authentication-tolerate-lookup-failure", true, "Go on when the API server's client CA cannot be read."),
      .list("authorization-always-allow-paths", "/healthz,/readyz,/livez", "Paths that nobody is asked for."),
      .duration("authentication-token-webhook-cache-ttl", "10s", "How long a token's review holds."),
      .duration("authorization-webhook-cache-authorized-ttl", "10s", "How long a yes holds."),
      .duration("authorization-webhook-cache-unauthorized-ttl", "10s", "How long a no holds."),
    ]
  }

  /// Checks what can be checked of the common flags.
  static func validate(_ values: FlagValues) throws {
    let emulated = values.list("emulated-version").map { $0.split(separator: "=").last.map(String.init) ?? $0 }
    if let other = emulated.first(where: { $0 != "1.36" }) {
      throw FlagError("--emulated-version: apus is 1.36 and cannot be \(other)")
    }
    let lock = values.declares("leader-elect-resource-lock") ? values.text("leader-elect-resource-lock") : ""
    guard lock.isEmpty || lock == "leases" else { throw FlagError("--leader-elect-resource-lock must be \"leases\"") }
    let format = values.text("logging-format")
    guard format.isEmpty || format == "text" else { throw FlagError("--logging-format must be \"text\"") }
    for (gate, value) in values.map("feature-gates") {
      guard FlagValues.boolean(value) != nil else {
        throw FlagError("invalid value of --feature-gates: \(gate)=\(value), want true or false")
      }
    }
  }

  static func logLevel(_ values: FlagValues) -> Logger.Level {
    switch values.integer("v") {
    case ..<2: .notice
    case 2...3: .info
    case 4...6: .debug
    default: .trace
    }
  }

  /// A client as `--kubeconfig` and `--master` say, else as a pod's service account.
  static func client(_ values: FlagValues, flag: String = "kubeconfig", component: String) throws -> APIClient {
    APIClient(
      transport: try HTTPTransport(clusterAccess(values, flag: flag)),
      userAgent: "\(component)/\(Version.git) (linux) kubernetes/apus")
  }

  /// Where the API server is, and who this component is to it.
  static func clusterAccess(_ values: FlagValues, flag: String = "kubeconfig") throws -> ClusterAccess {
    var access: ClusterAccess
    if let path = values.path(flag) ?? values.path("kubeconfig") {
      access = try ClusterAccess.kubeconfig(path: path)
    } else if let inCluster = try ClusterAccess.inCluster() {
      access = inCluster
    } else if values.declares("master"), values.path("master") != nil {
      access = ClusterAccess()
    } else {
      throw FlagError("no --kubeconfig and not in a pod: there is no API server to talk to")
    }
    if values.declares("master"), let master = values.path("master") { access.server = master }
    return access
  }
}
