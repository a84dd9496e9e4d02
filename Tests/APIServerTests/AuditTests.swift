import API
import APIMachinery
import HTTP
import Logging
import Synchronization
import Testing

@testable import APIServer

@Suite struct AuditTests {
  private func info(_ method: String, _ path: String) -> RequestInfo {
    RequestInfo(method: method, path: path, query: [])
  }

  private func policy(_ text: String) throws -> AuditPolicy {
    try AuditPolicy(Array(("apiVersion: audit.k8s.io/v1\nkind: Policy\n" + text).utf8))
  }

  @Test func theFirstRuleThatMatchesCounts() throws {
    let policy = try policy(
      """
      omitStages: [RequestReceived]
      rules:
      - level: None
        users: ["system:kube-proxy"]
        verbs: [watch]
        resources: [{group: "", resources: [endpoints, services]}]
      - level: Metadata
        resources: [{group: "", resources: [secrets, "pods/log", "*/status"]}]
      - level: None
        nonResourceURLs: ["/healthz*", /version]
      - level: Request
        namespaces: [kube-system]
        omitManagedFields: true
      - level: RequestResponse
        resources: [{group: "", resources: ["pods/*"], resourceNames: [one]}, {group: apps}]
        omitStages: [ResponseStarted]
      - level: Metadata
        userGroups: [auditors]
      """)
    let user = RequestUser(name: "jane", groups: ["dev"])
    func level(_ method: String, _ path: String, _ user: RequestUser = user) -> AuditPolicy.Level {
      policy.decide(user, info(method, path)).level
    }
    #expect(level("GET", "/api/v1/namespaces/a/secrets/b") == .metadata)
    #expect(level("GET", "/api/v1/namespaces/a/pods/b/log") == .metadata)
    #expect(level("PUT", "/api/v1/nodes/b/status") == .metadata)
    #expect(level("GET", "/healthz/etcd") == .none)
    #expect(level("POST", "/api/v1/namespaces/kube-system/configmaps") == .request)
    #expect(level("POST", "/api/v1/namespaces/a/pods/one/exec") == .requestResponse)
    #expect(level("POST", "/api/v1/namespaces/a/pods/two/exec") == .none)
    #expect(level("POST", "/apis/apps/v1/namespaces/a/deployments") == .requestResponse)
    #expect(level("GET", "/api/v1/namespaces/a/pods") == .none)
    #expect(level("GET", "/metrics", RequestUser(name: "a", groups: ["auditors"])) == .metadata)
    let decision = policy.decide(user, info("POST", "/apis/apps/v1/namespaces/a/deployments"))
    #expect(decision.omitStages == [.requestReceived, .responseStarted])
    #expect(policy.decide(user, info("POST", "/api/v1/namespaces/kube-system/configmaps")).omitManagedFields)
  }

  @Test(arguments: [
    "rules: []", "rules: [{level: Everything}]", "omitStages: [Never]\nrules: [{level: None}]",
    "rules: [{level: None, nonResourceURLs: [/x], namespaces: [a]}]",
  ])
  func refusesNonsense(_ text: String) {
    #expect(throws: AuditPolicy.Malformed.self) { try policy(text) }
  }

  private final class Kept: AuditBackend {
    let events = Mutex<[JSONValue]>([])
    func write(_ event: JSONValue) { events.withLock { $0.append(event) } }
    func run() async {}
    func close() async {}
  }

  @Test func aRequestIsWrittenDownStageByStage() throws {
    let kept = Kept()
    let auditor = Auditor(
      policy: try policy("rules: [{level: RequestResponse, omitManagedFields: true}]"), backends: [kept])
    var head = HTTPRequestHead(method: "POST", target: "/api/v1/namespaces/a/configmaps?dryRun=All", headers: [:])
    head.headers.add("user-agent", "tester/1")
    head.headers.add("x-forwarded-for", "192.0.2.7")
    let made = info("POST", "/api/v1/namespaces/a/configmaps")
    let record = try #require(
      auditor.begin(id: "the-id", head, made, user: RequestUser(name: "jane"), impersonated: RequestUser(name: "joe")))
    record.annotate("a/b", "first")
    record.annotate("a/b", "second")
    record.sent(Array(#"{"kind":"ConfigMap","metadata":{"name":"m","managedFields":[1]}}"#.utf8))
    _ = auditor.finish(
      record, HTTPResponse(status: 201, contentType: "application/json", bytes: Array(#"{"kind":"ConfigMap"}"#.utf8)))
    let events = kept.events.withLock { $0 }
    #expect(events.map { $0["stage"] } == ["RequestReceived", "ResponseComplete"])
    let last = events[1]
    #expect(last["auditID"] == "the-id")
    #expect(last["verb"] == "create")
    #expect(last["requestURI"] == "/api/v1/namespaces/a/configmaps?dryRun=All")
    #expect(last["user"]?["username"] == "jane")
    #expect(last["impersonatedUser"]?["username"] == "joe")
    #expect(last["sourceIPs"]?.arrayValue?.first == "192.0.2.7")
    #expect(last["objectRef"]?["name"] == "m")
    #expect(last["objectRef"]?["namespace"] == "a")
    #expect(last["responseStatus"]?["code"] == 201)
    #expect(last["requestObject"] == ["kind": "ConfigMap", "metadata": ["name": "m"]])
    #expect(last["responseObject"] == ["kind": "ConfigMap"])
    #expect(last["annotations"] == ["a/b": "first"])
    #expect(AuditFile.legacy(last).contains(#"stage="ResponseComplete" ip="192.0.2.7"#))
  }
}
