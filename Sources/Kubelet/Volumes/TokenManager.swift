import API
import Client
import Synchronization

/// Keeps service account tokens of pods, and renews them when four fifths of their life, or a day, are over.
final class TokenManager: Sendable {
  private struct Key: Hashable {
    var uid: String
    var account: String
    var audience: String
    var seconds: Int64
  }

  private struct Token: Sendable {
    var text: String
    var renewAt: ContinuousTime
    var expires: ContinuousTime
  }

  private let client: APIClient
  private let clock: @Sendable () -> ContinuousTime
  private let tokens = Mutex<[Key: Token]>([:])

  init(client: APIClient, clock: @escaping @Sendable () -> ContinuousTime) {
    self.client = client
    self.clock = clock
  }

  func token(_ pod: Pod, audience: String, expirationSeconds: Int64) async throws -> String {
    let account = pod.spec.serviceAccountName.isEmpty ? "default" : pod.spec.serviceAccountName
    let key = Key(uid: pod.metadata.uid, account: account, audience: audience, seconds: expirationSeconds)
    let now = clock()
    let held = tokens.withLock { $0[key] }
    if let held, held.renewAt > now { return held.text }
    do {
      let fresh = try await request(pod, account, audience, expirationSeconds, now)
      tokens.withLock { $0[key] = fresh }
      return fresh.text
    } catch {
      // An old token that still holds is better than none.
      if let held, held.expires > now { return held.text }
      throw error
    }
  }

  private func request(_ pod: Pod, _ account: String, _ audience: String, _ seconds: Int64, _ now: ContinuousTime)
    async throws -> Token
  {
    var request = TokenRequest()
    if !audience.isEmpty { request.spec.audiences = [audience] }
    request.spec.expirationSeconds = seconds
    var bound = BoundObjectReference()
    bound.apiVersion = "v1"
    bound.kind = "Pod"
    bound.name = pod.metadata.name
    bound.uid = pod.metadata.uid
    request.spec.boundObjectRef = bound
    let answer = try await client.createToken(
      namespace: pod.metadata.namespace, serviceAccount: account, request)
    let expires = ContinuousTime(nanoseconds: answer.status.expirationTimestamp.seconds * 1_000_000_000)
    let life = now.duration(to: expires)
    let renew = min(life * 4 / 5, .seconds(24 * 3600))
    return Token(text: answer.status.token, renewAt: now + renew, expires: expires)
  }

  func retain(uids: Set<String>) {
    tokens.withLock { all in all = all.filter { uids.contains($0.key.uid) } }
  }
}
