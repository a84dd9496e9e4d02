import APIMachinery
public import Logging

/// What `--audit-*` say.
public struct AuditConfiguration: Sendable {
  /// The policy; without one nothing is written.
  public var policyFile: String?
  /// The log; `-` is standard output, empty is none.
  public var logPath = ""
  /// `json` or `legacy`.
  public var logFormat = "json"
  /// Megabytes.
  public var maxSize = 100
  public var maxBackups = 0
  /// Days.
  public var maxAge = 0
  /// The webhook's kubeconfig.
  public var webhookFile: String?
  public var webhookMaxWait: Duration = .seconds(30)
  public var webhookInitialBackoff: Duration = .seconds(10)

  public init() {}

  /// Nil where nothing is to be written down. Throws for files that cannot be read or written.
  func auditor(logger: Logger) throws -> Auditor? {
    guard let policyFile else { return nil }
    guard let bytes = readWholeFile(policyFile) else {
      throw AuditPolicy.Malformed(description: "cannot read \(policyFile)")
    }
    let policy: AuditPolicy
    do { policy = try AuditPolicy(bytes) } catch {
      throw AuditPolicy.Malformed(description: "\(policyFile): \(error)")
    }
    var backends: [any AuditBackend] = []
    if !logPath.isEmpty {
      guard logFormat == "json" || logFormat == "legacy" else {
        throw AuditPolicy.Malformed(
          description: "invalid audit log format \(logFormat), allowed formats are \"json,legacy\"")
      }
      backends.append(
        try AuditFile(
          .init(
            path: logPath, maxSize: maxSize, maxBackups: maxBackups, maxAge: maxAge, isLegacy: logFormat == "legacy"),
          logger: logger))
    }
    if let webhookFile {
      backends.append(
        AuditWebhook(
          try WebhookKubeconfig(path: webhookFile), maxWait: webhookMaxWait, initialBackoff: webhookInitialBackoff,
          logger: logger))
    }
    return backends.isEmpty ? nil : Auditor(policy: policy, backends: backends)
  }
}
