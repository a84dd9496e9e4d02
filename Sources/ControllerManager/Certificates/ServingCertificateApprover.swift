import API
import Client
import Logging
import PKI

/// Approves kubelets' requests for serving certificates when they ask for nothing but their own names and addresses.
///
/// Upstream leaves this to the operator. Here a node's addresses are its own word in its status, to which
/// NodeRestriction holds it, so a certificate for them lets it serve as itself and as nobody else; an address that
/// another node has as well is not its own, and somebody must look.
final class ServingCertificateApprover: Controller {
  let name = "kubelet-serving-certificate-approver"
  private let client: APIClient
  private let requests: Informer<CertificateSigningRequest>
  private let nodes: Informer<Node>
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let queue = WorkQueue<ObjectKey>("serving-certificate", baseDelay: .milliseconds(200), maxDelay: .seconds(60))

  init(_ context: ControllerContext) {
    client = context.client
    logger = context.logger(name)
    now = context.now
    requests = context.informers.informer(CertificateSigningRequest.self)
    nodes = context.informers.informer(Node.self)
    requests.addHandler { [queue] in queue.add($0.object.key) }
  }

  func run() async throws {
    try await requests.waitForSync()
    try await nodes.waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard var request = requests.lister.get(key), request.spec.signerName == CertificateController.kubeletServing,
      request.status.certificate.isEmpty,
      !["Approved", "Denied", "Failed"].contains(where: { request.status.conditions.isTrue($0) }),
      let asked = try? SigningRequest(pem: request.spec.request.string)
    else { return .done }
    switch Self.judge(request, asked, nodes: nodes.lister.list()) {
    case .approve: break
    case .wait(let reason):
      // The node's status comes with its next report; a request older than a few minutes waits for a person.
      logger.debug("not approved yet", metadata: ["request": "\(key.name)", "reason": "\(reason)"])
      let age = now().seconds - request.metadata.creationTimestamp.seconds
      return age < 600 ? .after(.seconds(2)) : .done
    case .refuse(let reason):
      logger.warning("not approved", metadata: ["request": "\(key.name)", "reason": "\(reason)"])
      return .done
    }
    request.status.conditions.set(
      CertificateSigningRequestCondition {
        $0.type = "Approved"
        $0.status = "True"
        $0.reason = "AutoApproved"
        $0.message = "Auto approving kubelet serving certificate: names and addresses are the node's own."
        $0.lastUpdateTime = now()
      }, now: now())
    do {
      try await client.put(request, subresource: "approval")
    } catch let error as StatusError where error.isConflict {
      return .requeue
    }
    return .done
  }

  enum Judgement: Equatable {
    case approve
    /// What is missing may come.
    case wait(String)
    case refuse(String)
  }

  /// Whether a request may be approved by itself.
  static func judge(_ request: CertificateSigningRequest, _ asked: SigningRequest, nodes: [Node]) -> Judgement {
    if let objection = CertificateController.objection(request, asked) { return .refuse(objection) }
    guard request.spec.username == asked.commonName, request.spec.groups.contains("system:nodes") else {
      return .refuse("requester \(request.spec.username) is not \(asked.commonName)")
    }
    let name = String(asked.commonName.dropFirst("system:node:".count))
    guard let node = nodes.first(where: { $0.metadata.name == name }) else {
      return .wait("node \(name) is not known")
    }
    let addresses = node.status.addresses
    let names = Set(addresses.filter { ["Hostname", "InternalDNS", "ExternalDNS"].contains($0.type) }.map(\.address))
    let ips = Set(addresses.filter { ["InternalIP", "ExternalIP"].contains($0.type) }.map(\.address))
    for other in asked.dnsNames where other != name && !names.contains(other) {
      return .wait("\(other) is not a name of node \(name)")
    }
    for other in asked.ipAddresses where !ips.contains(other) {
      return .wait("\(other) is not an address of node \(name)")
    }
    for other in nodes where other.metadata.name != name {
      let taken = Set(other.status.addresses.map(\.address))
      if let shared = (asked.ipAddresses + asked.dnsNames).first(where: { taken.contains($0) }) {
        return .refuse("\(shared) is also an address of node \(other.metadata.name)")
      }
    }
    return .approve
  }
}
