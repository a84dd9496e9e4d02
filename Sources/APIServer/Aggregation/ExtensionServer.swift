import API
import APIMachinery
import APISchema
import HTTP
import Logging
import Synchronization

/// A server that serves one group version in place of this one, as an APIService names it.
final class ExtensionServer: Sendable {
  let name: String
  let spec: APIServiceSpec
  private let client: HTTPClient
  private let state = Mutex(State())

  struct State: Sendable {
    /// Nil until it has been asked.
    var isAvailable: Bool?
    var resources: [ResourceInfo] = []
    /// The hash of its OpenAPI document, by which clients know when it has changed.
    var openAPI: String?
  }

  /// Why a server cannot be used: upstream's condition reasons and texts.
  struct Unavailable: Error {
    var reason: String
    var message: String
  }

  var groupVersion: GroupVersion { GroupVersion(group: spec.group, version: spec.version) }
  var current: State { state.withLock { $0 } }

  /// `certificate` and `key`, PEM, show the server that its caller is this one (the front proxy's identity).
  init(_ service: APIService, certificate: String?, key: String?, logger: Logger) {
    name = service.metadata.name
    spec = service.spec
    let authorities = service.spec.caBundle.bytes
    var options = ClientTLSOptions(
      trustedCAPEM: authorities.isEmpty ? nil : String(decoding: authorities, as: UTF8.self))
    options.certificateChainPEM = certificate
    options.privateKeyPEM = key
    options.insecureSkipVerify = service.spec.insecureSkipTLSVerify
    if let reference = service.spec.service { options.serverName = "\(reference.name).\(reference.namespace).svc" }
    client = HTTPClient(configuration: HTTPClientConfiguration(tls: options, logger: logger))
  }

  func shutdown() async { await client.shutdown() }

  /// Where a request goes. Throws `Unavailable`.
  func target(_ path: String, _ registry: Registry) throws -> APIServer.ProxyTarget {
    guard let service = spec.service else {
      throw Unavailable(reason: "ServiceNotFound", message: "no service is named")
    }
    do {
      let (host, port) = try ServiceBackends(registry: registry).find(
        namespace: service.namespace, name: service.name, port: service.port ?? 443)
      return APIServer.ProxyTarget(client: client, origin: .https(host: host, port: port), target: path)
    } catch let error as ServiceBackends.Unavailable {
      throw Unavailable(reason: error.reason, message: error.description)
    }
  }

  /// Asks the server whether it serves its group version, and what that has. Throws `Unavailable`.
  func check(_ registry: Registry) async throws {
    do {
      let path = "/apis/\(spec.group)/\(spec.version)"
      let target = try target(path, registry)
      let list: JSONValue
      do { list = try JSONValue(parsing: try await get(target, path)) } catch {
        throw Unavailable(
          reason: "FailedDiscoveryCheck",
          message: "failing or missing response from https://\(target.origin.authority)\(path): \(error)")
      }
      let resources = Self.resources(list, groupVersion)
      let index = try? JSONValue(parsing: try await get(target, "/openapi/v3"))
      let url = index?["paths"]?["apis/\(spec.group)/\(spec.version)"]?["serverRelativeURL"]?.stringValue
      state.withLock { state in
        state.isAvailable = true
        state.resources = resources
        state.openAPI = url.flatMap { $0.split(separator: "hash=").last.map(String.init) }
      }
    } catch {
      state.withLock { $0.isAvailable = false }
      throw error
    }
  }

  private struct BadAnswer: Error, CustomStringConvertible {
    var description: String
  }

  private func get(_ target: APIServer.ProxyTarget, _ path: String) async throws -> [UInt8] {
    var headers = HTTPFields()
    headers.add("accept", "application/json")
    // The check is the aggregator's own.
    headers.add("x-remote-user", "system:kube-aggregator")
    headers.add("x-remote-group", UserInfo.mastersGroup)
    let answer = try await client.send(
      HTTPClientRequest(
        method: "GET", origin: target.origin, target: path, headers: headers, timeout: .seconds(5)))
    guard answer.status == 200 else {
      throw BadAnswer(description: "bad status from https://\(target.origin.authority)\(path): \(answer.status)")
    }
    return answer.body
  }

  private static func resources(_ list: JSONValue, _ version: GroupVersion) -> [ResourceInfo] {
    var byName: [String: ResourceInfo] = [:]
    var order: [String] = []
    let entries = list["resources"]?.arrayValue ?? []
    func texts(_ value: JSONValue?) -> [String] { (value?.arrayValue ?? []).compactMap(\.stringValue) }
    for entry in entries {
      guard let name = entry["name"]?.stringValue, !name.contains("/") else { continue }
      var info = ResourceInfo()
      info.group = version.group
      info.version = version.version
      info.resource = name
      info.singular = entry["singularName"]?.stringValue ?? ""
      info.kind = entry["kind"]?.stringValue ?? ""
      info.namespaced = entry["namespaced"]?.boolValue ?? false
      info.verbs = texts(entry["verbs"])
      info.shortNames = texts(entry["shortNames"])
      info.categories = texts(entry["categories"])
      info.enabledByDefault = true
      byName[name] = info
      order.append(name)
    }
    for entry in entries {
      guard let name = entry["name"]?.stringValue, let slash = name.firstIndex(of: "/") else { continue }
      var sub = SubresourceInfo()
      sub.name = String(name[name.index(after: slash)...])
      sub.kind = entry["kind"]?.stringValue ?? ""
      sub.group = entry["group"]?.stringValue ?? ""
      sub.version = entry["version"]?.stringValue ?? ""
      sub.verbs = texts(entry["verbs"])
      byName[String(name[..<slash])]?.subresources.append(sub)
    }
    return order.compactMap { byName[$0] }
  }
}
