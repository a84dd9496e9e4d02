import API

/// Runs lifecycle hooks.
struct Hooks: Sendable {
  let runner: any HandlerRunner

  /// Runs a hook against a running container; nil is success, else why not.
  func run(_ hook: LifecycleHandler, pod: Pod, container: Container, containerID: String, podIP: String) async
    -> String?
  {
    if let exec = hook.exec {
      switch await runner.exec(containerID, exec.command, timeout: .zero) {
      case .success: return nil
      case .failure(let output):
        return
          "Exec lifecycle hook (\(exec.command)) for Container \"\(container.name)\" in Pod \"\(pod.display)\" failed - error: command exited with non-zero code, message: \(FieldPaths.quote(output))"
      case .error(let text):
        return
          "Exec lifecycle hook (\(exec.command)) for Container \"\(container.name)\" in Pod \"\(pod.display)\" failed - error: \(text)"
      }
    }
    if let get = hook.httpGet {
      guard let url = ProbeTargets.url(get, container: container, podIP: podIP) else {
        return "invalid port \(get.port)"
      }
      switch await runner.http(url, headers: get.httpHeaders.map { ($0.name, $0.value) }, timeout: .seconds(30)) {
      case .success: return nil
      case .failure(let text), .error(let text):
        return
          "HTTP lifecycle hook (\(get.path)) for Container \"\(container.name)\" in Pod \"\(pod.display)\" failed - error: \(text)"
      }
    }
    if let sleep = hook.sleep {
      do { try await Task.sleep(for: .seconds(sleep.seconds)) } catch {
        return "container terminated before sleep hook finished"
      }
      return nil
    }
    return "invalid handler: \(pod.metadata.name)"
  }
}

/// Where HTTP and TCP checks go.
enum ProbeTargets {
  /// The number of a port given by number or name.
  static func port(_ port: IntOrString, _ container: Container) -> Int? {
    let number: Int
    switch port {
    case .int(let value): number = Int(value)
    case .string(let name):
      if let named = container.ports.first(where: { $0.name == name }) {
        number = Int(named.containerPort)
      } else if let parsed = Int(name) {
        number = parsed
      } else {
        return nil
      }
    }
    return (1...65535).contains(number) ? number : nil
  }

  static func url(_ action: HTTPGetAction, container: Container, podIP: String) -> String? {
    guard let port = port(action.port, container) else { return nil }
    let host = action.host.isEmpty ? podIP : action.host
    let bracketed = host.contains(":") ? "[\(host)]" : host
    let path = action.path.hasPrefix("/") ? action.path : "/" + action.path
    return "\(action.scheme.isEmpty ? "http" : action.scheme.lowercased())://\(bracketed):\(port)\(path)"
  }
}
