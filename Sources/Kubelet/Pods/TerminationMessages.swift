import API

/// Reads what a container left as its last words.
enum TerminationMessages {
  static let maxBytes = 4096

  /// Adds the message of an ended container to what the runtime says.
  static func fill(_ container: RuntimeContainer) -> RuntimeContainer {
    guard container.state == .exited, !container.terminationMessagePath.isEmpty,
      let file = container.mounts[container.terminationMessagePath]
    else { return container }
    var out = container
    let text = read(file)
    if !text.isEmpty {
      out.message = text
    } else if container.terminationMessagePolicy == "FallbackToLogsOnError", container.exitCode != 0 {
      out.message = ContainerLogs.tail(container.logPath, lines: 80, maxBytes: 2048)
    }
    return out
  }

  private static func read(_ path: String) -> String {
    guard let bytes = try? Files.read(path) else { return "" }
    return String(decoding: bytes.suffix(maxBytes), as: UTF8.self)
  }
}
