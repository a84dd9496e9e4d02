import API

/// What environments are made of beside the pod itself.
struct EnvironmentContext: Sendable {
  var services: [Service]
  var configMap: @Sendable (_ namespace: String, _ name: String) async throws -> ConfigMap?
  var secret: @Sendable (_ namespace: String, _ name: String) async throws -> Secret?
  var hostIPs: [String]
  var podIPs: [String]
  var allocatable: [String: Quantity]
  var masterNamespace = "default"
}

/// Makes a container's environment: service variables, `envFrom`, then `env`, each overriding what came before.
enum Environment {
  static func make(pod: Pod, container: Container, context: EnvironmentContext) async throws -> [(String, String)] {
    var values: [String: String] = [:]
    var order: [String] = []
    func set(_ name: String, _ value: String) {
      if values.updateValue(value, forKey: name) == nil { order.append(name) }
    }
    for source in container.envFrom {
      for (key, value) in try await all(source, pod, context).sorted(by: { $0.key < $1.key }) {
        set(source.prefix + key, value)
      }
    }
    let services = serviceVariables(
      context.services, namespace: pod.metadata.namespace, master: context.masterNamespace,
      links: pod.spec.enableServiceLinks ?? true)
    for variable in container.env {
      if let source = variable.valueFrom {
        guard let value = try await one(source, pod, container, context) else { continue }
        set(variable.name, value)
      } else {
        set(variable.name, expand(variable.value) { values[$0] ?? services[$0] })
      }
    }
    for (name, value) in services.sorted(by: { $0.key < $1.key }) where values[name] == nil {
      order.append(name)
      values[name] = value
    }
    return order.map { ($0, values[$0] ?? "") }
  }

  private static func all(_ source: EnvFromSource, _ pod: Pod, _ context: EnvironmentContext) async throws
    -> [String: String]
  {
    if let reference = source.configMapRef {
      guard let map = try await context.configMap(pod.metadata.namespace, reference.name) else {
        if reference.optional == true { return [:] }
        throw ContainerConfigError(description: "configmap \"\(reference.name)\" not found")
      }
      return map.data
    }
    if let reference = source.secretRef {
      guard let secret = try await context.secret(pod.metadata.namespace, reference.name) else {
        if reference.optional == true { return [:] }
        throw ContainerConfigError(description: "secret \"\(reference.name)\" not found")
      }
      return secret.data.mapValues(\.string)
    }
    return [:]
  }

  private static func one(
    _ source: EnvVarSource, _ pod: Pod, _ container: Container, _ context: EnvironmentContext
  ) async throws -> String? {
    let namespace = pod.metadata.namespace
    if let field = source.fieldRef {
      guard
        let value = FieldPaths.value(field.fieldPath, pod: pod, hostIPs: context.hostIPs, podIPs: context.podIPs)
      else { throw ContainerConfigError(description: "unsupported fieldPath: \(field.fieldPath)") }
      return value
    }
    if let resource = source.resourceFieldRef {
      var target = container
      if !resource.containerName.isEmpty, resource.containerName != container.name {
        guard let other = pod.allContainers.first(where: { $0.name == resource.containerName }) else {
          throw ContainerConfigError(description: "container \(resource.containerName) not found")
        }
        target = other
      }
      return try FieldPaths.resource(resource, container: target, allocatable: context.allocatable)
    }
    if let key = source.configMapKeyRef {
      guard let map = try await context.configMap(namespace, key.name) else {
        if key.optional == true { return nil }
        throw ContainerConfigError(description: "configmap \"\(key.name)\" not found")
      }
      if let value = map.data[key.key] { return value }
      if key.optional == true { return nil }
      throw ContainerConfigError(
        description: "couldn't find key \(key.key) in ConfigMap \(namespace)/\(key.name)")
    }
    if let key = source.secretKeyRef {
      guard let secret = try await context.secret(namespace, key.name) else {
        if key.optional == true { return nil }
        throw ContainerConfigError(description: "secret \"\(key.name)\" not found")
      }
      if let value = secret.data[key.key] { return value.string }
      if key.optional == true { return nil }
      throw ContainerConfigError(description: "couldn't find key \(key.key) in Secret \(namespace)/\(key.name)")
    }
    return nil
  }

  /// The variables by which containers find services, Docker's links included.
  static func serviceVariables(_ services: [Service], namespace: String, master: String, links: Bool)
    -> [String: String]
  {
    var out: [String: String] = [:]
    // The API server's own service is known everywhere; a service of that name here wins over it.
    let wanted =
      services.filter { $0.metadata.namespace == master && $0.metadata.name == "kubernetes" }
      + services.filter { links && $0.metadata.namespace == namespace }
    for service in wanted {
      let ip = service.spec.clusterIP
      guard !ip.isEmpty, ip != "None", let first = service.spec.ports.first else { continue }
      let name = variableName(service.metadata.name)
      out["\(name)_SERVICE_HOST"] = ip
      out["\(name)_SERVICE_PORT"] = String(first.port)
      for port in service.spec.ports where !port.name.isEmpty {
        out["\(name)_SERVICE_PORT_\(variableName(port.name))"] = String(port.port)
      }
      let host = ip.contains(":") ? "[\(ip)]" : ip
      for (index, port) in service.spec.ports.enumerated() {
        let transport = port.protocol.isEmpty ? "TCP" : port.protocol
        let url = "\(transport.lowercased())://\(host):\(port.port)"
        if index == 0 { out["\(name)_PORT"] = url }
        let prefix = "\(name)_PORT_\(port.port)_\(transport.uppercased())"
        out[prefix] = url
        out["\(prefix)_PROTO"] = transport.lowercased()
        out["\(prefix)_PORT"] = String(port.port)
        out["\(prefix)_ADDR"] = ip
      }
    }
    return out
  }

  private static func variableName(_ name: String) -> String {
    String(name.uppercased().map { $0 == "-" || $0 == "." ? "_" : $0 })
  }
}
