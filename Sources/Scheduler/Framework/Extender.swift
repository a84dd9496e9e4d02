import API
public import APIMachinery
import Foundation
import HTTP
import Logging

/// Another program that has a say in where pods go, asked over HTTP (`extenders` of a KubeSchedulerConfiguration).
public struct SchedulerExtender: Sendable {
  /// The name under which their refusals are known.
  static let plugin = "Extender"

  let urlPrefix: String
  private let origin: HTTPOrigin
  private let target: String
  let filterVerb: String
  let prioritizeVerb: String
  let preemptVerb: String
  let bindVerb: String
  let weight: Int64
  let timeout: Duration
  /// Knows nodes itself: it is told their names.
  let knowsNodes: Bool
  /// Goes on without it when it does not answer.
  let isIgnorable: Bool
  /// Asked only for pods that request one of these; empty: for all.
  let managed: Set<String>
  /// Resources that only it counts.
  let ignored: Set<String>
  private let client: HTTPClient

  /// - Throws: `SchedulerConfigurationError` with upstream's field path.
  public init(_ value: JSONValue, path: String) throws {
    func text(_ field: String) -> String { value[field]?.stringValue ?? "" }
    func wrong(_ field: String, _ what: String) -> SchedulerConfigurationError {
      SchedulerConfigurationError(description: "\(path).\(field): \(what)")
    }
    urlPrefix = text("urlPrefix")
    do { (origin, target) = try HTTPOrigin.parse(urlPrefix) } catch {
      throw wrong("urlPrefix", "Invalid value: \"\(urlPrefix)\"")
    }
    filterVerb = text("filterVerb")
    prioritizeVerb = text("prioritizeVerb")
    preemptVerb = text("preemptVerb")
    bindVerb = text("bindVerb")
    weight = value["weight"]?.intValue ?? 1
    guard prioritizeVerb.isEmpty || weight > 0 else {
      throw wrong("weight", "Invalid value: \(weight): must have a positive weight applied to it")
    }
    if let given = value["httpTimeout"]?.stringValue {
      guard let duration = GoDuration(parsing: given) else { throw wrong("httpTimeout", "Invalid value: \"\(given)\"") }
      timeout = duration.nanoseconds == 0 ? .seconds(5) : .nanoseconds(duration.nanoseconds)
    } else {
      timeout = .seconds(5)
    }
    knowsNodes = value["nodeCacheCapable"] == .bool(true)
    isIgnorable = value["ignorable"] == .bool(true)
    let resources = value["managedResources"]?.arrayValue ?? []
    managed = Set(resources.compactMap { $0["name"]?.stringValue })
    ignored = Set(
      resources.filter { $0["ignoredByScheduler"] == .bool(true) }.compactMap { $0["name"]?.stringValue })
    var tls = ClientTLSOptions()
    if let settings = value["tlsConfig"] {
      func pem(_ file: String, _ data: String) throws -> String? {
        if let encoded = settings[data]?.stringValue, !encoded.isEmpty {
          guard let bytes = Base64Bytes(base64: encoded) else { throw wrong("tlsConfig.\(data)", "Invalid value") }
          return bytes.string
        }
        guard let name = settings[file]?.stringValue, !name.isEmpty else { return nil }
        do { return try String(contentsOfFile: name, encoding: .utf8) } catch {
          throw wrong("tlsConfig.\(file)", "\(error)")
        }
      }
      tls = ClientTLSOptions(
        trustedCAPEM: try pem("caFile", "caData"), certificateChainPEM: try pem("certFile", "certData"),
        privateKeyPEM: try pem("keyFile", "keyData"))
      tls.insecureSkipVerify = settings["insecure"] == .bool(true)
    }
    client = HTTPClient(configuration: HTTPClientConfiguration(tls: tls))
  }

  /// The extenders of a configuration file. At most one may bind.
  public static func extenders(_ value: JSONValue?) throws -> [SchedulerExtender] {
    let all = try (value?.arrayValue ?? []).enumerated().map { try SchedulerExtender($1, path: "extenders[\($0)]") }
    guard all.count(where: { !$0.bindVerb.isEmpty }) <= 1 else {
      throw SchedulerConfigurationError(
        description:
          "extenders: Invalid value: found \(all.count(where: { !$0.bindVerb.isEmpty })) extenders implementing bind, limit is 1"
      )
    }
    return all
  }

  /// Whether it is to be asked about a pod.
  func isInterested(in pod: Pod) -> Bool {
    managed.isEmpty
      || (pod.spec.containers + pod.spec.initContainers).contains { container in
        managed.contains { container.resources.requests[$0] != nil || container.resources.limits[$0] != nil }
      }
  }

  // MARK: Questions

  /// Nodes left, and why others are not: `unresolvable` are those that making room would not help.
  struct Verdict: Sendable, Equatable {
    var nodes: Set<String> = []
    var failed: [String: String] = [:]
    var unresolvable: [String: String] = [:]
  }

  func filter(_ pod: Pod, _ nodes: [Node]) async throws -> Verdict {
    let names = Set(nodes.map(\.metadata.name))
    guard !filterVerb.isEmpty else { return Verdict(nodes: names) }
    let answer = try await ask(filterVerb, arguments(pod, nodes))
    if let error = answer.field("error")?.stringValue, !error.isEmpty { throw ExtenderFailure(description: error) }
    var verdict = Verdict()
    if knowsNodes, let left = answer.field("nodenames")?.arrayValue {
      verdict.nodes = Set(left.compactMap(\.stringValue))
    } else if let items = answer.field("nodes")?.field("items")?.arrayValue {
      verdict.nodes = Set(items.compactMap { $0["metadata"]?["name"]?.stringValue })
    }
    verdict.nodes.formIntersection(names)
    verdict.failed = Self.reasons(answer.field("failednodes"))
    verdict.unresolvable = Self.reasons(answer.field("failedandunresolvablenodes"))
    return verdict
  }

  private static func reasons(_ value: JSONValue?) -> [String: String] {
    (value?.objectValue ?? [:]).compactMapValues(\.stringValue)
  }

  /// What it thinks of nodes, in the scheduler's own measure.
  func prioritize(_ pod: Pod, _ nodes: [Node]) async throws -> [String: Int64] {
    guard !prioritizeVerb.isEmpty else { return [:] }
    let answer = try await ask(prioritizeVerb, arguments(pod, nodes))
    var scores: [String: Int64] = [:]
    for entry in answer.arrayValue ?? [] {
      guard let host = entry.field("host")?.stringValue, let score = entry.field("score")?.intValue else { continue }
      // Its ten are the scheduler's hundred.
      scores[host] = min(max(score, 0), 10) * weight * 10
    }
    return scores
  }

  func bind(_ pod: Pod, to node: String) async throws {
    let answer = try await ask(
      bindVerb,
      .object([
        "PodName": .string(pod.metadata.name), "PodNamespace": .string(pod.metadata.namespace),
        "PodUID": .string(pod.metadata.uid), "Node": .string(node),
      ]))
    if let error = answer.field("error")?.stringValue, !error.isEmpty { throw ExtenderFailure(description: error) }
  }

  /// Whether the victims on a node may go for the pod.
  func approves(_ pod: Pod, node: String, victims: [Pod]) async throws -> Bool {
    guard !preemptVerb.isEmpty else { return true }
    func list(_ items: [JSONValue]) -> JSONValue { .object(["Pods": .array(items), "NumPDBViolations": .int(0)]) }
    var body: [String: JSONValue] = ["Pod": try JSONValue(parsing: pod.encoded())]
    if knowsNodes {
      body["NodeNameToMetaVictims"] = .object([
        node: list(victims.map { .object(["UID": .string($0.metadata.uid)]) })
      ])
    } else {
      body["NodeNameToVictims"] = .object([node: list(try victims.map { try JSONValue(parsing: $0.encoded()) })])
    }
    let answer = try await ask(preemptVerb, .object(body))
    return answer.field("nodenametometavictims")?.objectValue?[node] != nil
  }

  private func arguments(_ pod: Pod, _ nodes: [Node]) throws -> JSONValue {
    var body: [String: JSONValue] = ["Pod": try JSONValue(parsing: pod.encoded())]
    if knowsNodes {
      body["NodeNames"] = .array(nodes.map { .string($0.metadata.name) })
    } else {
      body["Nodes"] = .object([
        "metadata": .object([:]), "items": .array(try nodes.map { try JSONValue(parsing: $0.encoded()) }),
      ])
    }
    return .object(body)
  }

  private func ask(_ verb: String, _ body: JSONValue) async throws -> JSONValue {
    var request = HTTPClientRequest(
      method: "POST", origin: origin, target: (target.hasSuffix("/") ? target : target + "/") + verb,
      headers: ["content-type": "application/json"], body: .bytes(body.encoded()))
    request.timeout = timeout
    let answer = try await client.send(request)
    guard answer.status == 200 else {
      throw ExtenderFailure(
        description: "failed \(verb) with extender at URL \(urlPrefix)/\(verb), code \(answer.status)")
    }
    return try JSONValue(parsing: answer.body)
  }
}

/// An extender that did not do as it was asked.
struct ExtenderFailure: Error, CustomStringConvertible {
  var description: String
}

extension JSONValue {
  /// A field by its name in any case: extenders are written in many languages.
  fileprivate func field(_ name: String) -> JSONValue? {
    objectValue?.first { $0.key.lowercased() == name }?.value
  }
}
