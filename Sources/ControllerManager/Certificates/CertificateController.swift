import API
import APIMachinery
import Client
import Logging
import PKI

/// Approves nodes' requests for client certificates, and signs what is approved.
final class CertificateController: Controller {
  static let kubeletClient = "kubernetes.io/kube-apiserver-client-kubelet"
  static let kubeletServing = "kubernetes.io/kubelet-serving"
  static let apiserverClient = "kubernetes.io/kube-apiserver-client"
  private static let signers = [kubeletClient, kubeletServing, apiserverClient]

  let name = "certificatesigningrequest-signing-controller"
  private let client: APIClient
  private let requests: Informer<CertificateSigningRequest>
  /// By signer.
  private let authorities: [String: CertificateAuthority]
  private let mayApprove: Bool
  private let longest: Int64
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let queue = WorkQueue<ObjectKey>("certificate", baseDelay: .milliseconds(200), maxDelay: .seconds(1000))

  /// Nil when there is nothing to do: no authority to sign with, and approving is somebody else's.
  init?(_ context: ControllerContext) {
    let configuration = context.configuration
    mayApprove = configuration.isEnabled("certificatesigningrequest-approving-controller")
    var authorities: [String: CertificateAuthority] = [:]
    for signer in Self.signers where configuration.isEnabled(name) {
      guard let signing = configuration.signers[signer] ?? configuration.clusterSigning else { continue }
      do {
        authorities[signer] = try CertificateAuthority(
          certificatePEM: signing.certificatePEM, privateKeyPEM: signing.privateKeyPEM)
      } catch {
        context.logger.error("the authority of \(signer) is unusable: \(error)")
      }
    }
    guard mayApprove || !authorities.isEmpty else { return nil }
    self.authorities = authorities
    client = context.client
    requests = context.informers.informer(CertificateSigningRequest.self)
    longest = context.configuration.clusterSigningDuration.components.seconds
    logger = context.logger(name)
    now = context.now
    requests.addHandler { [queue] in queue.add($0.object.key) }
  }

  func run() async throws {
    try await requests.waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard var request = requests.lister.get(key), request.status.certificate.isEmpty,
      !request.status.conditions.isTrue("Denied"), !request.status.conditions.isTrue("Failed")
    else { return .done }
    guard Self.signers.contains(request.spec.signerName) else {
      return .done
    }
    let asked = try? SigningRequest(pem: request.spec.request.string)
    if !request.status.conditions.isTrue("Approved") {
      guard mayApprove, let asked, let permission = Self.approvable(request, asked),
        try await isAllowed(permission, request)
      else {
        return .done
      }
      request.status.conditions.set(
        CertificateSigningRequestCondition {
          $0.type = "Approved"
          $0.status = "True"
          $0.reason = "AutoApproved"
          $0.message =
            "Auto approving \(permission == "selfnodeclient" ? "self " : "")kubelet client certificate "
            + "after SubjectAccessReview."
          $0.lastUpdateTime = now()
        }, now: now())
      request = try await client.put(request, subresource: "approval")
    }
    guard let authority = authorities[request.spec.signerName] else { return .done }
    guard let asked, Self.objection(request, asked) == nil else {
      let message = asked.flatMap { Self.objection(request, $0) } ?? "the request cannot be read"
      request.status.conditions.set(
        CertificateSigningRequestCondition {
          $0.type = "Failed"
          $0.status = "True"
          $0.reason = "SignerValidationFailure"
          $0.message = message
          $0.lastUpdateTime = now()
        }, now: now())
      try await client.updateStatus(request)
      return .done
    }
    let usages = Set(request.spec.usages.compactMap { CertificateRequest.Usage(rawValue: $0) })
    let validity = min(request.spec.expirationSeconds.map { max(600, Int64($0)) } ?? longest, longest)
    let certificate = try authority.sign(asked, usages: usages, validity: validity, now: now())
    request.status.certificate = Base64Bytes(Array(certificate.utf8))
    try await client.updateStatus(request)
    return .done
  }

  /// The permission by which a request may be approved without anybody looking; nil when somebody must.
  static func approvable(_ request: CertificateSigningRequest, _ asked: SigningRequest) -> String? {
    guard request.spec.signerName == kubeletClient, objection(request, asked) == nil else { return nil }
    return request.spec.username == asked.commonName ? "selfnodeclient" : "nodeclient"
  }

  /// Why a signer must refuse; nil when it may sign.
  static func objection(_ request: CertificateSigningRequest, _ asked: SigningRequest) -> String? {
    let usages = Set(request.spec.usages)
    let isNode = asked.organizations == ["system:nodes"] && asked.commonName.hasPrefix("system:node:")
    let hasNames = !asked.dnsNames.isEmpty || !asked.ipAddresses.isEmpty
    let hasOthers = !asked.emailAddresses.isEmpty || !asked.uris.isEmpty
    switch request.spec.signerName {
    case kubeletClient:
      if !isNode { return "subject organization is not system:nodes, or its common name not that of a node" }
      if hasNames || hasOthers { return "subject alternative names are not allowed" }
      if !fits(usages, "client auth") {
        return "usages did not match [client auth digital signature key encipherment]"
      }
    case kubeletServing:
      if !isNode { return "subject organization is not system:nodes, or its common name not that of a node" }
      if !hasNames { return "DNS or IP subjectAltName is required" }
      if hasOthers { return "Email and URI subjectAltNames are not allowed" }
      if !fits(usages, "server auth") {
        return "usages did not match [digital signature key encipherment server auth]"
      }
    default:
      if asked.organizations.contains("system:masters") { return "organization system:masters is not allowed" }
      if !fits(usages, "client auth") {
        return "usages did not match [client auth digital signature key encipherment]"
      }
    }
    return nil
  }

  private static func fits(_ usages: Set<String>, _ purpose: String) -> Bool {
    usages.contains(purpose) && usages.isSubset(of: ["key encipherment", "digital signature", purpose])
  }

  private func isAllowed(_ permission: String, _ request: CertificateSigningRequest) async throws -> Bool {
    let review = SubjectAccessReview {
      $0.spec.user = request.spec.username
      $0.spec.uid = request.spec.uid
      $0.spec.groups = request.spec.groups
      $0.spec.extra = request.spec.extra
      $0.spec.resourceAttributes = ResourceAttributes {
        $0.group = "certificates.k8s.io"
        $0.version = "*"
        $0.resource = "certificatesigningrequests"
        $0.subresource = permission
        $0.verb = "create"
      }
    }
    return try await client.create(review).status.allowed
  }
}
