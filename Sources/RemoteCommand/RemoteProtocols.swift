/// Names that clients and servers of the streaming subresources agree on.
public enum RemoteProtocols {
  /// Subprotocols of exec and attach over WebSocket, best first.
  public static let webSocketExec = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
  /// Port forwarding: a SPDY connection inside WebSocket binary messages.
  public static let webSocketPortForward = "SPDY/3.1+portforward.k8s.io"
  /// The stream protocol spoken to a container runtime for exec and attach.
  public static let spdyExec = "v4.channel.k8s.io"
  /// The stream protocol spoken to a container runtime for port forwarding.
  public static let spdyPortForward = "portforward.k8s.io"
  /// The `Upgrade` token of SPDY.
  public static let spdyUpgrade = "SPDY/3.1"
  /// The header in which SPDY clients offer, and servers choose, a stream protocol.
  public static let versionHeader = "X-Stream-Protocol-Version"
}

/// Which streams a command has.
public struct ExecStreams: Sendable, Hashable {
  public var stdin: Bool
  public var stdout: Bool
  public var stderr: Bool
  public var tty: Bool

  /// A terminal has no standard error of its own.
  public init(stdin: Bool, stdout: Bool, stderr: Bool, tty: Bool) {
    self.stdin = stdin
    self.stdout = stdout
    self.stderr = stderr && !tty
    self.tty = tty
  }

  /// Reads the options from query parameters, in the API's spelling (`stdin=true`) and the kubelet's (`input=1`).
  public init(query: [(String, String)]) {
    func on(_ names: String...) -> Bool {
      query.contains { names.contains($0.0) && ["1", "t", "T", "TRUE", "true", "True"].contains($0.1) }
    }
    self.init(
      stdin: on("stdin", "input"), stdout: on("stdout", "output"), stderr: on("stderr", "error"), tty: on("tty"))
  }

  /// Whether any of the three standard streams is asked for.
  public var isEmpty: Bool { !stdin && !stdout && !stderr }
}
