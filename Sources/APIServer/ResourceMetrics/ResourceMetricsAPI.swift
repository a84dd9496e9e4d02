import API
import APIMachinery
import APISchema
import HTTP

/// `metrics.k8s.io/v1beta1`, which in other clusters the metrics server adds: the use of nodes and pods now. It gives
/// way to an extension server that is registered for the same group version.
struct ResourceMetricsAPI: Sendable {
  static let version = GroupVersion(group: "metrics.k8s.io", version: "v1beta1")
  let registry: Registry
  let metrics: ResourceMetrics

  /// What discovery says of it.
  static let discovery = LiveDiscovery.Addition(
    groups: [GroupInfo(name: version.group, preferred: version.version, versions: [version.version])],
    resources: [info("nodes", "NodeMetrics", false), info("pods", "PodMetrics", true)])

  private static func info(_ resource: String, _ kind: String, _ namespaced: Bool) -> ResourceInfo {
    var info = ResourceInfo()
    info.group = version.group
    info.version = version.version
    info.resource = resource
    info.kind = kind
    info.namespaced = namespaced
    info.verbs = ["get", "list"]
    info.enabledByDefault = true
    return info
  }

  /// Answers a request that is allowed.
  func answer(_ request: ResourceRequest) async -> HTTPResponse {
    do {
      var request = request
      request.form = try ResponseForm.negotiate(request.accept)
      let info = request.info
      guard ["pods", "nodes"].contains(info.resource), info.subresource.isEmpty else { throw StatusError.pathNotFound }
      guard info.verb == "get" || info.verb == "list" else {
        throw StatusError.methodNotSupported(GroupResource(group: info.apiGroup, resource: info.resource), info.verb)
      }
      let items = try await items(request)
      let body: [UInt8]
      if case .table = request.form.output {
        body = table(items, isList: info.verb == "list")
      } else if info.verb == "get" {
        body = items[0].object(kind: kind(info)).encoded()
      } else {
        body = JSONValue.object([
          "kind": .string(kind(info) + "List"), "apiVersion": .string(Self.version.description),
          "metadata": .object([:]), "items": .array(items.map { $0.object(kind: kind(info)) }),
        ]).encoded()
      }
      return encoded(jsonResponse(200, body), as: request.form, request.headers)
    } catch { return errorResponse(error, request.headers, query: request.query) }
  }

  private func kind(_ info: RequestInfo) -> String { info.resource == "pods" ? "PodMetrics" : "NodeMetrics" }

  private func items(_ request: ResourceRequest) async throws -> [Item] {
    let info = request.info
    let labels = try selector(request.parameter("labelSelector"))
    let fields = try Fields.Selector.parse(request.parameter("fieldSelector") ?? "")
    let known = await metrics.current()
    var result: [Item] = []
    func isWanted(_ meta: ObjectMeta) -> Bool {
      if info.verb == "get" { return true }
      return labels.matches(meta.labels)
        && fields.matches { ["metadata.name": meta.name, "metadata.namespace": meta.namespace][$0] }
    }
    if info.resource == "nodes" {
      let nodes =
        info.verb == "get" ? [registry.object(Node.self, name: info.name)].compactMap { $0 } : registry.list(Node.self)
      for node in nodes where isWanted(node.metadata) {
        guard let usage = known.node(node.metadata.name) else { continue }
        result.append(Item(node.metadata, now: registry.now(), node: usage))
      }
    } else {
      let pods =
        info.verb == "get"
        ? [registry.object(Pod.self, namespace: info.namespace, name: info.name)].compactMap { $0 }
        : registry.list(Pod.self).filter { info.namespace.isEmpty || $0.metadata.namespace == info.namespace }
      for pod in pods where pod.status.phase == "Running" && isWanted(pod.metadata) {
        let key = ResourceSample.PodKey(namespace: pod.metadata.namespace, name: pod.metadata.name)
        guard let usage = known.pod(key, node: pod.spec.nodeName) else { continue }
        result.append(Item(pod.metadata, now: registry.now(), containers: usage))
      }
    }
    if info.verb == "get", result.isEmpty {
      let isPod = info.resource == "pods"
      throw StatusError.notFound(
        GroupResource(group: Self.version.group, resource: isPod ? "podmetrics" : "nodemetrics"),
        isPod ? "\(info.namespace)/\(info.name)" : info.name)
    }
    return result.sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
  }

  private func selector(_ text: String?) throws -> Labels.Selector {
    guard let text, !text.isEmpty else { return .everything }
    do { return try Labels.Selector.parse(text) } catch { throw StatusError.badRequest("\(error)") }
  }

  private func table(_ items: [Item], isList: Bool) -> [UInt8] {
    let columns = [
      ("Name", "string", "name"), ("cpu", "quantity", ""), ("memory", "quantity", ""), ("Window", "duration", ""),
    ]
    return JSONValue.object([
      "kind": .string("Table"), "apiVersion": .string("meta.k8s.io/v1"), "metadata": .object([:]),
      "columnDefinitions": .array(
        columns.map { name, type, format in
          .object([
            "name": .string(name), "type": .string(type), "format": .string(format), "description": .string(""),
            "priority": .int(0),
          ])
        }),
      "rows": .array(items.map(\.row)),
    ]).encoded()
  }
}

/// The use of one node or pod.
private struct Item {
  var name: String
  var namespace: String
  var labels: [String: String]
  var now: Time
  var total: ResourceUsage
  /// By name in order; nil for a node.
  var containers: [(String, ResourceUsage)]?

  init(_ meta: ObjectMeta, now: Time, node: ResourceUsage) {
    (name, namespace, labels, self.now) = (meta.name, meta.namespace, meta.labels, now)
    total = node
  }

  init(_ meta: ObjectMeta, now: Time, containers: [String: ResourceUsage]) {
    (name, namespace, labels, self.now) = (meta.name, meta.namespace, meta.labels, now)
    let all = containers.sorted { $0.key < $1.key }
    self.containers = all
    // The earliest reading stands for the pod.
    total = all.dropFirst().reduce(all[0].1) { sum, next in
      var sum = sum
      if next.1.time < sum.time { (sum.time, sum.window) = (next.1.time, next.1.window) }
      sum.nanocores += next.1.nanocores
      sum.memory += next.1.memory
      return sum
    }
  }

  private var metadata: JSONValue {
    var result: [String: JSONValue] = ["name": .string(name), "creationTimestamp": .string(now.description)]
    if !namespace.isEmpty { result["namespace"] = .string(namespace) }
    if !labels.isEmpty { result["labels"] = .object(labels.mapValues { .string($0) }) }
    return .object(result)
  }

  private var window: JSONValue { .string(GoDuration(nanoseconds: total.window * 1_000_000).description) }

  private func usage(_ usage: ResourceUsage) -> JSONValue {
    .object(["cpu": .string(Self.cpu(usage)), "memory": .string(Self.memory(usage))])
  }

  private static func cpu(_ usage: ResourceUsage) -> String { usage.nanocores == 0 ? "0" : "\(usage.nanocores)n" }
  private static func memory(_ usage: ResourceUsage) -> String { usage.memory == 0 ? "0" : "\(usage.memory >> 10)Ki" }

  func object(kind: String) -> JSONValue {
    var result: [String: JSONValue] = [
      "kind": .string(kind), "apiVersion": .string(ResourceMetricsAPI.version.description), "metadata": metadata,
      "timestamp": .string(Time(seconds: total.time / 1000).description), "window": window,
    ]
    if let containers {
      result["containers"] = .array(
        containers.map { .object(["name": .string($0.0), "usage": usage($0.1)]) })
    } else {
      result["usage"] = usage(total)
    }
    return .object(result)
  }

  var row: JSONValue {
    .object([
      "cells": .array([.string(name), .string(Self.cpu(total)), .string(Self.memory(total)), window]),
      "object": .object([
        "kind": .string("PartialObjectMetadata"), "apiVersion": .string("meta.k8s.io/v1"), "metadata": metadata,
      ]),
    ])
  }
}
