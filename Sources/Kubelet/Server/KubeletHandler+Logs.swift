import API
import CRI
import HTTP

extension KubeletHandler {
  /// `/containerLogs/NAMESPACE/POD/CONTAINER`
  func containerLogs(_ head: HTTPRequestHead, _ parts: [String]) async -> HTTPResponse {
    guard parts.count == 4 else { return failure(404, "404 page not found") }
    let (namespace, name, containerName) = (parts[1], parts[2], parts[3])
    guard let pod = pod(namespace, name) else {
      return failure(404, "pod \"\(name)\" does not exist")
    }
    guard pod.allContainers.contains(where: { $0.name == containerName }) else {
      return failure(404, "container \"\(containerName)\" not found in pod \"\(name)\"")
    }
    let options: LogOptions
    do {
      options = try Self.logOptions(head.query)
    } catch {
      return failure(422, "\(error)")
    }
    let previous = head.query.contains { $0.0 == "previous" && Self.isTrue($0.1) }
    let log: (path: String, id: String)
    do {
      log = try await find(pod, containerName, previous: previous)
    } catch let error as StatusError {
      return failure(error.code, error.message)
    } catch {
      return failure(500, describe(error))
    }
    let engine = p.engine
    let id = log.id
    let isRunning: @Sendable () async -> Bool = {
      (try? await engine.containerStatus(id).state == .containerRunning) ?? false
    }
    return HTTPResponse(
      headers: ["content-type": "text/plain"],
      body: .stream { writer in
        do {
          try await ContainerLogs.stream(log.path, options, isRunning: isRunning) { try await writer.write($0) }
        } catch let error as FileError {
          try await writer.write(Array("failed to try resolving symlinks in path \"\(error.path)\": \(error)\n".utf8))
        }
      })
  }

  private func find(_ pod: Pod, _ name: String, previous: Bool) async throws -> (path: String, id: String) {
    let runtime = try await p.reader.pod(
      uid: pod.metadata.uid, name: pod.metadata.name, namespace: pod.metadata.namespace)
    let all = runtime.containers.filter { $0.name == name }
    if previous {
      guard
        let last = all.dropFirst().first(where: { $0.state == .exited })
          // A container that waits for its restart: its end is the previous one.
          ?? (all.first?.state == .exited && waits(pod, name) ? all.first : nil)
      else {
        throw StatusError.badRequest(
          "previous terminated container \"\(name)\" in pod \"\(pod.metadata.name)\" not found")
      }
      return (last.logPath, last.id)
    }
    guard let current = all.first(where: { $0.state != .created }) ?? all.first else {
      let status =
        (pod.status.initContainerStatuses + pod.status.containerStatuses + pod.status.ephemeralContainerStatuses)
        .first { $0.name == name }
      if let waiting = status?.state.waiting {
        switch waiting.reason {
        case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
          throw StatusError.badRequest(
            "container \"\(name)\" in pod \"\(pod.metadata.name)\" is waiting to start: \(waiting.reason == "ErrImagePull" || waiting.reason == "ImagePullBackOff" ? "trying and failing to pull image" : waiting.reason)"
          )
        default:
          throw StatusError.badRequest(
            "container \"\(name)\" in pod \"\(pod.metadata.name)\" is waiting to start: \(waiting.reason)")
        }
      }
      throw StatusError.badRequest("container \"\(name)\" in pod \"\(pod.metadata.name)\" is not available")
    }
    return (current.logPath, current.id)
  }

  private func waits(_ pod: Pod, _ name: String) -> Bool {
    (pod.status.containerStatuses + pod.status.initContainerStatuses).first { $0.name == name }?.state.waiting != nil
  }

  static func logOptions(_ query: [(String, String)]) throws -> LogOptions {
    var out = LogOptions()
    func number(_ name: String, _ text: String) throws -> Int {
      guard let value = Int(text) else {
        throw ContainerConfigError(description: "\(name): Invalid value: \"\(text)\": must be a number")
      }
      return value
    }
    for (name, text) in query {
      switch name {
      case "follow": out.follow = isTrue(text)
      case "timestamps": out.timestamps = isTrue(text)
      case "tailLines" where text != "all" && !text.isEmpty:
        let value = try number(name, text)
        if value < 0 {
          throw ContainerConfigError(
            description: "tailLines: Invalid value: \(value): must be greater than or equal to 0")
        }
        out.tailLines = value
      case "limitBytes":
        let value = try number(name, text)
        if value < 1 {
          throw ContainerConfigError(description: "limitBytes: Invalid value: \(value): must be greater than 0")
        }
        out.limitBytes = value
      case "sinceSeconds":
        let value = try number(name, text)
        if value < 1 {
          throw ContainerConfigError(description: "sinceSeconds: Invalid value: \(value): must be greater than 0")
        }
        out.since = MicroTime.now.adding(seconds: -Int64(value))
      case "sinceTime":
        guard let time = MicroTime(rfc3339: text) else {
          throw ContainerConfigError(description: "sinceTime: Invalid value: \"\(text)\": must be RFC 3339")
        }
        out.since = time
      case "stream" where !text.isEmpty: out.stream = text
      default: break
      }
    }
    return out
  }

  private static func isTrue(_ text: String) -> Bool { ["1", "t", "T", "true", "True", "TRUE"].contains(text) }

  /// `/logs/PATH`: a file of the host's log directory, or a listing.
  func systemLogs(_ head: HTTPRequestHead) -> HTTPResponse {
    let relative = head.path.dropFirst("/logs".count).split(separator: "/").joined(separator: "/")
    let base = p.configuration.systemLogsDirectory
    guard let root = Files.resolve(base), let real = Files.resolve("\(base)/\(relative)"),
      real == root || real.hasPrefix(root + "/")
    else { return failure(404, "404 page not found") }
    do {
      if try Files.kind(real) == .directory {
        let lines = try Files.list(real).map { name -> String in
          let shown = (try? Files.kind("\(real)/\(name)")) == .directory ? name + "/" : name
          return "<a href=\"\(shown)\">\(shown)</a>"
        }
        return HTTPResponse(
          contentType: "text/html; charset=utf-8",
          bytes: Array("<pre>\n\(lines.joined(separator: "\n"))\n</pre>\n".utf8))
      }
      return HTTPResponse(contentType: "text/plain; charset=utf-8", bytes: try Files.read(real))
    } catch {
      return failure(500, "\(error)")
    }
  }
}
