/// `/statusz` and `/flagz` of a component, for people (KEP-4827, KEP-4828): when it began, what it is, and what it was told.
public struct DebugPages: Sendable {
  private let component: String
  private let version: String
  private let flags: [String: String]
  private let paths: [String]
  private let started: String
  private let start = ContinuousClock.now
  private static let warning =
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for "
    + "debugging purposes only."

  /// - Parameters:
  ///   - version: the version, as `1.36.2`.
  ///   - flags: the command line's flags and their values, without secrets.
  ///   - paths: the paths that the status page names.
  ///   - started: the time of the start, as people read it.
  public init(component: String, version: String, flags: [String: String], paths: [String], started: String) {
    self.component = component
    self.version = version
    self.flags = flags
    self.paths = paths
    self.started = started
  }

  /// The answer for a path; nil where it is neither page.
  public func answer(_ path: String) -> HTTPResponse? {
    switch path {
    case "/statusz": page("statusz", status)
    case "/flagz": page("flagz", flags.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
    default: nil
    }
  }

  private var status: [String] {
    let seconds = (ContinuousClock.now - start).components.seconds
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60)
    let emulated = version.split(separator: ".").prefix(2).joined(separator: ".")
    return [
      "Started: \(started)", "Up: \(hours) hr \(minutes) min \(seconds % 60) sec", "Binary version: \(version)",
      "Emulation version: \(emulated)", "Paths: \(paths.sorted().joined(separator: " "))",
    ]
  }

  private func page(_ name: String, _ lines: [String]) -> HTTPResponse {
    let text = (["\(component) \(name)", Self.warning, ""] + lines).joined(separator: "\n") + "\n"
    return HTTPResponse(contentType: "text/plain; charset=utf-8", bytes: Array(text.utf8))
  }
}
