import API
import CRI
import HTTP
import Logging
import RemoteCommand

/// What the server asks of the kubelet.
struct ServerParts: Sendable {
  var engine: any ContainerEngine
  var reader: RuntimeReader
  var pods: @Sendable () -> [Pod]
  var runningPods: @Sendable () async throws -> [Pod]
  var authorizer: NodeAuthorizer
  var tokens: TokenAuthenticator
  /// False only in tests and on plain connections: everybody may do everything.
  var authenticates: Bool
  var configuration: KubeletConfiguration
  var stats: StatsProvider
  /// Why the kubelet is not well; nil when it is.
  var health: @Sendable () -> String?
  var streaming: HTTPClient
  var logger: Logger
}

/// The kubelet's own API.
struct KubeletHandler: HTTPHandler {
  let p: ServerParts

  func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
    let head = request.head
    if let refusal = await refuse(head) { return refusal }
    let parts = head.path.split(separator: "/").map(String.init)
    switch parts.first {
    case "healthz": return healthz()
    case "pods": return list(p.pods())
    case "runningpods":
      do { return list(try await p.runningPods()) } catch { return failure(500, describe(error)) }
    case "containerLogs": return await containerLogs(head, parts)
    case "run" where head.method == "POST": return await run(head, parts, request.body)
    case "logs": return systemLogs(head)
    case "metrics": return await metrics(parts)
    case "stats": return await stats(parts)
    case "configz": return configz()
    case "exec", "attach", "portForward": return failure(400, "Upgrade request required")
    case nil: return failure(404, "404 page not found")
    default: return failure(404, "404 page not found")
    }
  }

  /// Nil when the client may go on.
  func refuse(_ head: HTTPRequestHead) async -> HTTPResponse? {
    guard p.authenticates else { return nil }
    guard let who = await identity(head) else { return failure(401, "Unauthorized") }
    let accesses = NodeAccess.alternatives(method: head.method, path: head.path)
    for access in accesses where await p.authorizer.mayUse(who, access) { return nil }
    let subresources = accesses.map(\.subresource).joined(separator: " ")
    return failure(
      403,
      "Forbidden (user=\(who.user), verb=\(accesses[0].verb), resource=nodes, subresource(s)=[\(subresources)])")
  }

  /// Who asks: by client certificate, else by bearer token. Nobody is let in without either.
  private func identity(_ head: HTTPRequestHead) async -> ClientIdentity? {
    if let tls = head.tls, tls.verified, let leaf = tls.certificates.first,
      let who = ClientAuthentication.identity(leaf)
    {
      return who
    }
    guard let field = head.headers["authorization"] else { return nil }
    let parts = field.split(separator: " ")
    guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
    return await p.tokens.identity(String(parts[1]))
  }

  func failure(_ status: Int, _ text: String) -> HTTPResponse {
    HTTPResponse(status: status, contentType: "text/plain; charset=utf-8", bytes: Array((text + "\n").utf8))
  }

  private func healthz() -> HTTPResponse {
    if let problem = p.health() { return failure(500, problem) }
    return HTTPResponse(contentType: "text/plain; charset=utf-8", bytes: Array("ok".utf8))
  }

  private func list(_ pods: [Pod]) -> HTTPResponse {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("kind")
    writer.string("PodList")
    writer.key("apiVersion")
    writer.string("v1")
    writer.key("metadata")
    writer.raw(Array("{}".utf8))
    writer.key("items")
    writer.beginArray()
    for pod in pods { pod.encode(to: &writer) }
    writer.endArray()
    writer.endObject()
    return HTTPResponse(contentType: "application/json", bytes: writer.bytes)
  }

  private func configz() -> HTTPResponse {
    let c = p.configuration
    let value = JSONValue.object([
      "kubeletconfig": .object([
        "staticPodPath": .string(c.staticPodPath ?? ""), "address": .string(c.address), "port": .int(Int64(c.port)),
        "clusterDomain": .string(c.clusterDomain), "clusterDNS": .array(c.clusterDNS.map { .string($0) }),
        "maxPods": .int(Int64(c.maxPods)), "serializeImagePulls": .bool(c.serializeImagePulls),
        "containerLogMaxFiles": .int(Int64(c.containerLogMaxFiles)), "cgroupRoot": .string(c.cgroupRoot ?? ""),
        "nodeLeaseDurationSeconds": .int(Int64(c.nodeLeaseDurationSeconds)), "cpuCFSQuota": .bool(c.cpuCFSQuota),
        "resolvConf": .string(c.resolverConfig), "kind": .string("KubeletConfiguration"),
        "apiVersion": .string("kubelet.config.k8s.io/v1beta1"),
      ])
    ])
    return HTTPResponse(contentType: "application/json", bytes: value.encoded())
  }

  // MARK: Run

  private func run(_ head: HTTPRequestHead, _ parts: [String], _ body: [UInt8]) async -> HTTPResponse {
    // /run/NAMESPACE/POD[/UID]/CONTAINER
    guard parts.count == 4 || parts.count == 5 else { return failure(404, "404 page not found") }
    var parameters = head.query
    if head.headers["content-type"]?.hasPrefix("application/x-www-form-urlencoded") == true {
      parameters += parseQuery(Substring(String(decoding: body, as: UTF8.self)))
    }
    guard let command = parameters.first(where: { $0.0 == "cmd" })?.1, !command.isEmpty else {
      return failure(400, "Missing cmd parameter")
    }
    do {
      let id = try await container(parts[1], parts[2], parts[parts.count - 1])
      let answer = try await p.engine.execSync(
        id, command.split(separator: " ").map(String.init), timeoutSeconds: 0)
      if answer.exitCode != 0 {
        return failure(500, "command terminated with exit code \(answer.exitCode)")
      }
      return HTTPResponse(contentType: "text/plain; charset=utf-8", bytes: Array(answer.stdout + answer.stderr))
    } catch let error as StatusError {
      return failure(error.code, error.message)
    } catch {
      return failure(500, describe(error))
    }
  }

  // MARK: Finding things

  func pod(_ namespace: String, _ name: String) -> Pod? {
    p.pods().first { $0.metadata.namespace == namespace && $0.metadata.name == name }
  }

  /// The id of a running container.
  func container(_ namespace: String, _ name: String, _ container: String) async throws -> String {
    guard let pod = pod(namespace, name) else { throw StatusError.notFound(Pod.groupResource, name) }
    let runtime = try await p.reader.pod(uid: pod.metadata.uid, name: name, namespace: namespace)
    guard let found = runtime.container(container) else {
      throw StatusError.badRequest("container not found (\"\(container)\")")
    }
    return found.id
  }

  func sandbox(_ namespace: String, _ name: String) async throws -> String {
    guard let pod = pod(namespace, name) else { throw StatusError.notFound(Pod.groupResource, name) }
    let runtime = try await p.reader.pod(uid: pod.metadata.uid, name: name, namespace: namespace)
    guard let found = runtime.readySandbox else {
      throw StatusError.badRequest("unable to do port forwarding: pod is not running")
    }
    return found.id
  }
}
