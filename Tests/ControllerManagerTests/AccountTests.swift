import API
import Client
import Synchronization
import Testing

@testable import ControllerManager

/// Notes the tokens that arrive, and refuses those it is told to.
private final class TokenProbe: Sendable {
  let seen = Mutex([String]())
  let refused = Mutex(Set<String>())

  var transport: InProcessTransport {
    InProcessTransport(
      send: { [self] request in
        let token = request.header("Authorization") ?? ""
        seen.withLock { $0.append(token) }
        let isRefused = refused.withLock { $0.contains(token) }
        return (isRefused ? 401 : 200, [], Array("{}".utf8))
      }, stream: { _ in (200, AsyncThrowingStream { $0.finish() }) })
  }
}

/// Hands out numbered tokens, once the account exists.
private final class TokenIssuer: Sendable {
  let requests = Mutex([String]())
  let hasAccount = Mutex(false)
  let seconds: Int64
  init(seconds: Int64 = 3600) { self.seconds = seconds }

  var client: APIClient {
    APIClient(
      transport: InProcessTransport(
        send: { [self] request in
          requests.withLock { $0.append("\(request.method) \(request.pathOnly)") }
          if request.pathOnly.hasSuffix("/token") {
            guard hasAccount.withLock({ $0 }) else { return (404, [], Self.notFound) }
            let number = requests.withLock { $0.filter { $0.hasSuffix("/token") }.count }
            var answer = TokenRequest()
            answer.spec.expirationSeconds = seconds
            answer.status.token = "t\(number)"
            return (201, [], answer.encodedWithType())
          }
          hasAccount.withLock { $0 = true }
          return (201, [], request.body ?? [])
        }, stream: { _ in (200, AsyncThrowingStream { $0.finish() }) }), userAgent: "kube-controller-manager/v1")
  }

  private static let notFound = Array(
    #"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}"#.utf8)
}

@Suite struct AccountTests {
  @Test func anAccountIsMadeAndItsTokenUsedByAll() async throws {
    let issuer = TokenIssuer(), probe = TokenProbe()
    let client = AccountClients(root: issuer.client, anonymous: probe.transport).client("job-controller")
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<8 { group.addTask { try await client.raw("GET", "/x") } }
      try await group.waitForAll()
    }
    #expect(Set(probe.seen.withLock { $0 }) == ["Bearer t2"])
    #expect(
      issuer.requests.withLock { $0 } == [
        "POST /api/v1/namespaces/kube-system/serviceaccounts/job-controller/token",
        "POST /api/v1/namespaces/kube-system/serviceaccounts",
        "POST /api/v1/namespaces/kube-system/serviceaccounts/job-controller/token",
      ])
    #expect(client.userAgent == "kube-controller-manager/v1/system:serviceaccount:kube-system:job-controller")
  }

  @Test func aRefusedTokenIsReplacedOnce() async throws {
    let issuer = TokenIssuer(), probe = TokenProbe()
    issuer.hasAccount.withLock { $0 = true }
    let client = AccountClients(root: issuer.client, anonymous: probe.transport).client("job-controller")
    try await client.raw("GET", "/x")
    probe.refused.withLock { $0 = ["Bearer t1"] }
    try await client.raw("GET", "/x")
    #expect(probe.seen.withLock { $0 } == ["Bearer t1", "Bearer t1", "Bearer t2"])
    probe.refused.withLock { $0 = ["Bearer t2", "Bearer t3"] }
    await #expect(throws: StatusError.self) { try await client.raw("GET", "/x") }
  }

  @Test func aTokenIsRenewedBeforeItEnds() async throws {
    let issuer = TokenIssuer(seconds: 100)
    issuer.hasAccount.withLock { $0 = true }
    let start = ContinuousClock.now
    let clock = ClockHand(start)
    let token = AccountToken(account: "a", root: issuer.client, now: { clock.time.withLock { $0 } })
    #expect(try await token.current() == "t1")
    clock.time.withLock { $0 = start + .seconds(79) }
    #expect(try await token.current() == "t1")
    clock.time.withLock { $0 = start + .seconds(81) }
    #expect(try await token.current() == "t2")
  }

  @Test func controllersAreNamedAsUpstreamNamesThem() {
    var configuration = ControllerManager.Configuration()
    #expect(configuration.isEnabled("token-cleaner-controller"))
    configuration.controllers = ControllerNames.canonical(["*", "tokencleaner", "-podgc"])
    #expect(configuration.isEnabled("token-cleaner-controller"))
    #expect(!configuration.isEnabled("bootstrap-signer-controller"))
    #expect(!configuration.isEnabled("local-path-provisioner"))
    #expect(!configuration.isEnabled("pod-garbage-collector-controller"))
    #expect(configuration.isEnabled("job-controller"))
    #expect(ControllerNames.objection(["*", "-cronjob", "service"]) == nil)
    #expect(ControllerNames.objection(["depoyment"]) == "\"depoyment\" is not in the list of known controllers")
  }
}

private final class ClockHand: Sendable {
  let time: Mutex<ContinuousClock.Instant>
  init(_ start: ContinuousClock.Instant) { time = Mutex(start) }
}
