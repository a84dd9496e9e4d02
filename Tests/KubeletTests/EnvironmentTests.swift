import API
import Testing

@testable import Kubelet

@Suite struct EnvironmentTests {
  func context(_ services: [Service] = []) -> EnvironmentContext {
    EnvironmentContext(
      services: services,
      configMap: { _, name in
        guard name == "config" else { return nil }
        var map = ConfigMap()
        map.data = ["A": "1", "B": "2"]
        return map
      },
      secret: { _, name in
        guard name == "secret" else { return nil }
        var secret = Secret()
        secret.data = ["token": Base64Bytes(Array("xyz".utf8))]
        return secret
      }, hostIPs: ["192.168.0.2"], podIPs: ["10.0.0.1"], allocatable: ["memory": Quantity(1024)])
  }

  func variable(_ name: String, _ value: String) -> EnvVar {
    var out = EnvVar()
    out.name = name
    out.value = value
    return out
  }

  @Test(arguments: [
    ("$(A)-$(B)", "1-$(B)"), ("$$(A)", "$(A)"), ("$(A", "$(A"), ("$", "$"), ("a$b", "a$b"), ("$$$(A)", "$1"),
  ])
  func expansion(input: String, output: String) {
    #expect(expand(input) { ["A": "1"][$0] } == output)
  }

  @Test func sourcesOverrideEachOtherInOrder() async throws {
    var container = makeContainer("main")
    var source = EnvFromSource()
    source.prefix = "P_"
    source.configMapRef = ConfigMapEnvSource()
    source.configMapRef?.name = "config"
    container.envFrom = [source]
    var key = variable("TOKEN", "")
    key.valueFrom = EnvVarSource()
    key.valueFrom?.secretKeyRef = SecretKeySelector()
    key.valueFrom?.secretKeyRef?.name = "secret"
    key.valueFrom?.secretKeyRef?.key = "token"
    var ip = variable("IP", "")
    ip.valueFrom = EnvVarSource()
    ip.valueFrom?.fieldRef = ObjectFieldSelector()
    ip.valueFrom?.fieldRef?.fieldPath = "status.podIP"
    container.env = [variable("X", "$(P_A)/$(TOKEN)"), key, variable("Y", "$(TOKEN)"), variable("P_B", "own"), ip]
    let made = try await Environment.make(pod: makePod(), container: container, context: context())
    let values = Dictionary(made) { $1 }
    #expect(values == ["P_A": "1", "P_B": "own", "X": "1/$(TOKEN)", "TOKEN": "xyz", "Y": "xyz", "IP": "10.0.0.1"])
  }

  @Test func missingObjectsAreNamed() async {
    var container = makeContainer("main")
    var key = variable("TOKEN", "")
    key.valueFrom = EnvVarSource()
    key.valueFrom?.configMapKeyRef = ConfigMapKeySelector()
    key.valueFrom?.configMapKeyRef?.name = "config"
    key.valueFrom?.configMapKeyRef?.key = "none"
    container.env = [key]
    await #expect(throws: ContainerConfigError(description: "couldn't find key none in ConfigMap default/config")) {
      try await Environment.make(pod: makePod(), container: container, context: context())
    }
    container.env[0].valueFrom?.configMapKeyRef?.name = "absent"
    await #expect(throws: ContainerConfigError(description: "configmap \"absent\" not found")) {
      try await Environment.make(pod: makePod(), container: container, context: context())
    }
    container.env[0].valueFrom?.configMapKeyRef?.optional = true
    let made = try? await Environment.make(pod: makePod(), container: container, context: context())
    #expect(made?.isEmpty == true)
  }

  @Test func servicesBecomeVariables() {
    var service = Service()
    service.metadata.name = "my-db"
    service.metadata.namespace = "default"
    service.spec.clusterIP = "10.96.0.5"
    var port = ServicePort()
    port.name = "sql"
    port.port = 5432
    port.protocol = "TCP"
    service.spec.ports = [port]
    let made = Environment.serviceVariables([service], namespace: "default", master: "default", links: true)
    #expect(made["MY_DB_SERVICE_HOST"] == "10.96.0.5")
    #expect(made["MY_DB_SERVICE_PORT_SQL"] == "5432")
    #expect(made["MY_DB_PORT"] == "tcp://10.96.0.5:5432")
    #expect(made["MY_DB_PORT_5432_TCP_ADDR"] == "10.96.0.5")
    #expect(Environment.serviceVariables([service], namespace: "default", master: "default", links: false).isEmpty)
  }

  @Test func fieldsAndResources() throws {
    let pod = makePod {
      $0.metadata.labels = ["b": "2", "a": "x\"y"]
      $0.metadata.annotations["note"] = "hi"
    }
    func field(_ path: String) -> String? { FieldPaths.value(path, pod: pod, hostIPs: ["h"], podIPs: ["p", "q"]) }
    #expect(field("metadata.labels") == "a=\"x\\\"y\"\nb=\"2\"")
    #expect(field("metadata.annotations['note']") == "hi")
    #expect(field("status.podIPs") == "p,q")
    #expect(field("spec.other") == nil)
    var selector = ResourceFieldSelector()
    selector.resource = "limits.cpu"
    let container = makeContainer("main") { $0.resources.limits["cpu"] = Quantity(milli: 1500) }
    #expect(try FieldPaths.resource(selector, container: container, allocatable: [:]) == "2")
    selector.divisor = Quantity(milli: 1)
    #expect(try FieldPaths.resource(selector, container: container, allocatable: [:]) == "1500")
    selector.resource = "limits.memory"
    selector.divisor = Quantity()
    #expect(try FieldPaths.resource(selector, container: container, allocatable: ["memory": Quantity(77)]) == "77")
  }

  @Test func resolverSettings() {
    let host = ResolverConfig(parsing: "# x\nnameserver 1.1.1.1\nsearch example.com.\noptions timeout:1\n")
    let cluster = PodDNS.config(pod: makePod(), host: host, clusterDNS: ["10.96.0.10"], clusterDomain: "cluster.local")
    #expect(cluster.servers == ["10.96.0.10"])
    #expect(
      cluster.searches == ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com"])
    #expect(cluster.options == ["ndots:5"])
    let hostNetwork = makePod { $0.spec.hostNetwork = true }
    #expect(PodDNS.config(pod: hostNetwork, host: host, clusterDNS: ["10.96.0.10"], clusterDomain: "c") == host)
    let own = makePod {
      $0.spec.dnsPolicy = "None"
      $0.spec.dnsConfig = PodDNSConfig()
      $0.spec.dnsConfig?.nameservers = ["9.9.9.9"]
      var option = PodDNSConfigOption()
      option.name = "ndots"
      option.value = "2"
      $0.spec.dnsConfig?.options = [option]
    }
    let made = PodDNS.config(pod: own, host: host, clusterDNS: ["10.96.0.10"], clusterDomain: "c")
    #expect(made.servers == ["9.9.9.9"] && made.options == ["ndots:2"] && made.searches.isEmpty)
  }

  @Test func hostNames() throws {
    let pod = makePod("web") {
      $0.spec.subdomain = "sub"
      var alias = HostAlias()
      alias.ip = "1.2.3.4"
      alias.hostnames = ["a", "b"]
      $0.spec.hostAliases = [alias]
    }
    let names = try HostNames.of(pod, clusterDomain: "cluster.local")
    #expect(names.host == "web" && names.domain == "sub.default.svc.cluster.local")
    let file = HostNames.hostsFile(
      pod: pod, host: names.host, domain: names.domain, podIPs: ["10.0.0.1"], hostFile: nil)
    #expect(file.contains("10.0.0.1\tweb.sub.default.svc.cluster.local\tweb\n"))
    #expect(file.hasSuffix("\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"))
  }

  @Test func kernelResources() {
    #expect(LinuxResources.shares(milli: 0) == 2)
    #expect(LinuxResources.shares(milli: 500) == 512)
    #expect(LinuxResources.quota(milli: 250, period: 100_000) == 25_000)
    #expect(LinuxResources.quota(milli: 1, period: 100_000) == 1000)
    let pod = makePod { $0.spec.containers[0].resources.requests["memory"] = Quantity(512) }
    #expect(LinuxResources.oomScore(pod: pod, container: pod.spec.containers[0], memoryCapacity: 1024) == 500)
    #expect(LinuxResources.oomScore(pod: makePod(), container: makeContainer("x"), memoryCapacity: 1024) == 1000)
  }

  @Test(arguments: [
    ("busybox", "busybox:latest", "Always"), ("busybox:1", "busybox:1", "IfNotPresent"),
    ("localhost:5000/a/b", "localhost:5000/a/b:latest", "Always"),
    ("a@sha256:00", "a@sha256:00", "IfNotPresent"), ("x:latest", "x:latest", "Always"),
  ])
  func imageNames(image: String, full: String, policy: String) {
    #expect(ImageNames.withDefaultTag(image) == full)
    #expect(ImageNames.defaultPolicy(image) == policy)
  }

  @Test(arguments: ["", "Upper/Case:1", "a b", "x:", "-a"])
  func badImageNames(image: String) { #expect(ImageNames.withDefaultTag(image) == nil) }

  @Test func runningAsRootCanBeRefused() throws {
    let pod = makePod {
      $0.spec.securityContext?.runAsNonRoot = true
      $0.spec.securityContext?.runAsUser = 0
    }
    #expect(throws: ContainerConfigError.self) {
      try SecurityContexts.verifyNonRoot(pod, pod.spec.containers[0], imageUser: (5, ""))
    }
    let free = makePod { $0.spec.securityContext?.runAsNonRoot = true }
    try SecurityContexts.verifyNonRoot(free, free.spec.containers[0], imageUser: (5, ""))
    #expect(throws: ContainerConfigError.self) {
      try SecurityContexts.verifyNonRoot(free, free.spec.containers[0], imageUser: (nil, "app"))
    }
  }
}
