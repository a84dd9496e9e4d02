import API
import Client
import Synchronization

/// What a request to the kubelet is about, as its authorization sees it.
struct NodeAccess: Sendable, Hashable {
  var verb: String
  var subresource: String

  /// The node subresource that a path belongs to.
  static func of(method: String, path: String) -> NodeAccess {
    let verb =
      switch method {
      case "POST": "create"
      case "PUT": "update"
      case "PATCH": "patch"
      case "DELETE": "delete"
      default: "get"
      }
    func under(_ prefix: String) -> Bool { path == prefix || path.hasPrefix(prefix + "/") }
    if under("/stats") { return NodeAccess(verb: verb, subresource: "stats") }
    if under("/metrics") { return NodeAccess(verb: verb, subresource: "metrics") }
    if under("/logs") { return NodeAccess(verb: verb, subresource: "log") }
    if under("/checkpoint") { return NodeAccess(verb: verb, subresource: "checkpoint") }
    if under("/pods") || under("/runningpods") { return NodeAccess(verb: verb, subresource: "pods") }
    if under("/healthz") { return NodeAccess(verb: verb, subresource: "healthz") }
    if under("/configz") { return NodeAccess(verb: verb, subresource: "configz") }
    return NodeAccess(verb: verb, subresource: "proxy")
  }
}

extension NodeAccess {
  /// What any one of which allows the request: the finer subresource, or `nodes/proxy` as before there were finer ones.
  static func alternatives(method: String, path: String) -> [NodeAccess] {
    let first = of(method: method, path: path)
    guard ["pods", "healthz", "configz"].contains(first.subresource) else { return [first] }
    return [first, NodeAccess(verb: first.verb, subresource: "proxy")]
  }
}

/// Decides who may use the kubelet's API: administrators at once, others by asking the API server.
final class NodeAuthorizer: Sendable {
  private struct Question: Hashable {
    var who: ClientIdentity
    var access: NodeAccess
  }

  private let client: APIClient?
  private let nodeName: String
  private let clock: @Sendable () -> ContinuousTime
  private let answers = Mutex<[Question: (allowed: Bool, until: ContinuousTime)]>([:])

  init(client: APIClient?, nodeName: String, clock: @escaping @Sendable () -> ContinuousTime) {
    self.client = client
    self.nodeName = nodeName
    self.clock = clock
  }

  func mayUse(_ who: ClientIdentity, _ access: NodeAccess) async -> Bool {
    if who.groups.contains("system:masters") { return true }
    let question = Question(who: who, access: access)
    let now = clock()
    if let known = answers.withLock({ $0[question] }), known.until > now { return known.allowed }
    guard let client else { return false }
    var review = SubjectAccessReview()
    review.spec.user = who.user
    review.spec.groups = who.groups
    review.spec.uid = who.uid
    review.spec.extra = who.extra
    var attributes = ResourceAttributes()
    attributes.verb = access.verb
    attributes.version = "v1"
    attributes.resource = "nodes"
    attributes.subresource = access.subresource
    attributes.name = nodeName
    review.spec.resourceAttributes = attributes
    guard let answer = try? await client.create(review) else { return false }
    let allowed = answer.status.allowed
    // As upstream's cache: a yes holds five minutes, a no half a minute.
    answers.withLock { all in
      if all.count > 1000 { all = [:] }
      all[question] = (allowed, now + (allowed ? .seconds(300) : .seconds(30)))
    }
    return allowed
  }
}
