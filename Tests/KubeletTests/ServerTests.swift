import API
import CRI
import Client
import HTTP
import Logging
import NIOCore
import SwiftProtobuf
import Synchronization
import Testing

@testable import Kubelet

@Suite struct ServerTests {
  private func handler(
    _ engine: FakeEngine, _ pods: [Pod], logs: String, authenticates: Bool = false, api: MemoryAPI? = nil
  )
    -> KubeletHandler
  {
    var configuration = KubeletConfiguration(nodeName: "node1")
    configuration.systemLogsDirectory = logs
    let clock: @Sendable () -> ContinuousTime = { at(1000) }
    return KubeletHandler(
      p: ServerParts(
        engine: engine, reader: RuntimeReader(engine: engine), pods: { pods }, runningPods: { pods },
        authorizer: NodeAuthorizer(client: api?.client(), nodeName: "node1", clock: clock),
        tokens: TokenAuthenticator(client: api?.client(), clock: clock),
        authenticates: authenticates,
        configuration: configuration,
        stats: StatsProvider(engine: engine, nodeName: "node1", rootDirectory: "/", clock: clock), health: { nil },
        streaming: HTTPClient(), logger: Logger(label: "test")))
  }

  private func get(_ handler: KubeletHandler, _ target: String, method: String = "GET") async -> (Int, String) {
    let answer = await handler.handle(HTTPServerRequest(head: HTTPRequestHead(method: method, target: target)))
    switch answer.body {
    case .bytes(let bytes): return (answer.status, String(decoding: bytes, as: UTF8.self))
    case .stream(let body):
      let collected = Mutex<[UInt8]>([])
      let writer = HTTPBodyWriter { buffer in
        if let buffer { collected.withLock { $0 += buffer.readableBytesView } }
      }
      try? await body(writer)
      writer.finish()
      return (answer.status, String(decoding: collected.withLock { $0 }, as: UTF8.self))
    default: return (answer.status, "")
    }
  }

  /// A pod whose one container runs and has said something.
  private func started(_ engine: FakeEngine, _ pod: Pod, _ scratch: Scratch) async throws {
    var config = CRIPodSandboxConfig()
    config.metadata.name = pod.metadata.name
    config.labels = sandboxLabels(pod)
    config.logDirectory = scratch.path
    let sandbox = try await engine.runPodSandbox(.with { $0.config = config })
    let id = try await engine.createContainer(
      .with {
        $0.podSandboxID = sandbox
        $0.sandboxConfig = config
        $0.config.metadata.name = "main"
        $0.config.labels = containerLabels(pod, pod.spec.containers[0])
        $0.config.logPath = "0.log"
      })
    try await engine.startContainer(id)
    try Files.write(
      "\(scratch.path)/0.log", Array("2026-01-01T00:00:01Z stdout F hello\n2026-01-01T00:00:02Z stdout F world\n".utf8))
  }

  @Test func logsAreServed() async throws {
    let scratch = Scratch()
    let engine = FakeEngine()
    let pod = makePod()
    try await started(engine, pod, scratch)
    let handler = handler(engine, [pod], logs: scratch.path)
    #expect(await get(handler, "/containerLogs/default/web/main") == (200, "hello\nworld\n"))
    #expect(await get(handler, "/containerLogs/default/web/main?tailLines=1") == (200, "world\n"))
    #expect(await get(handler, "/containerLogs/default/none/main") == (404, "pod \"none\" does not exist\n"))
    #expect(
      await get(handler, "/containerLogs/default/web/none") == (404, "container \"none\" not found in pod \"web\"\n"))
    #expect(
      await get(handler, "/containerLogs/default/web/main?previous=true")
        == (400, "previous terminated container \"main\" in pod \"web\" not found\n"))
    #expect(await get(handler, "/containerLogs/default/web/main?sinceSeconds=0").0 == 422)
  }

  @Test func commandsRun() async throws {
    let scratch = Scratch()
    let engine = FakeEngine()
    let pod = makePod()
    try await started(engine, pod, scratch)
    let handler = handler(engine, [pod], logs: scratch.path)
    #expect(await get(handler, "/run/default/web/main?cmd=echo%20hi", method: "POST") == (200, "output"))
    #expect(engine.calls.last == "exec echo hi")
    #expect(await get(handler, "/exec/default/web/main?command=sh&output=1").0 == 400)
  }

  @Test func listingsAndFiles() async throws {
    let scratch = Scratch()
    try Files.write("\(scratch.path)/syslog", Array("line\n".utf8))
    let handler = handler(FakeEngine(), [makePod()], logs: scratch.path)
    let pods = try JSONValue(parsing: Array(await get(handler, "/pods").1.utf8))
    #expect(pods["kind"]?.stringValue == "PodList")
    #expect(pods["items"]?.arrayValue?.first?["metadata"]?["name"]?.stringValue == "web")
    #expect(await get(handler, "/logs/syslog") == (200, "line\n"))
    #expect(await get(handler, "/logs/../../etc/passwd").0 == 404)
    #expect(await get(handler, "/healthz") == (200, "ok"))
    #expect(await get(handler, "/metrics/resource").1.contains("node_memory_working_set_bytes"))
    #expect(await get(handler, "/stats/summary").1.contains("\"nodeName\":\"node1\""))
    #expect(await get(handler, "/nothing").0 == 404)
  }

  @Test func strangersAreTurnedAway() async throws {
    let handler = handler(FakeEngine(), [], logs: "/tmp", authenticates: true)
    #expect(await get(handler, "/pods").0 == 401)
    #expect(await get(handler, "/healthz").0 == 401)
  }

  @Test func authorizationAsksTheServer() async throws {
    let authorizer = NodeAuthorizer(client: MemoryAPI().client(), nodeName: "node1", clock: { at(1) })
    let admin = ClientIdentity(user: "root", groups: ["system:masters"])
    #expect(await authorizer.mayUse(admin, NodeAccess(verb: "get", subresource: "proxy")))
    let none = NodeAuthorizer(client: nil, nodeName: "node1", clock: { at(1) })
    #expect(await !none.mayUse(ClientIdentity(user: "x", groups: []), NodeAccess(verb: "get", subresource: "proxy")))
  }

  @Test(arguments: [
    ("GET", "/containerLogs/a/b/c", "get", "proxy"), ("POST", "/exec/a/b/c", "create", "proxy"),
    ("GET", "/stats/summary", "get", "stats"), ("GET", "/metrics", "get", "metrics"), ("GET", "/logs/x", "get", "log"),
    ("GET", "/pods", "get", "pods"),
  ])
  func pathsBelongToSubresources(method: String, path: String, verb: String, subresource: String) {
    #expect(NodeAccess.of(method: method, path: path) == NodeAccess(verb: verb, subresource: subresource))
  }
}
