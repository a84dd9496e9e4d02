import API
import APIMachinery
import Client
import Crypto
import Logging
import PKI
import Testing

@testable import ControllerManager

@Suite struct EphemeralVolumeTests {
  private var pod: Pod {
    var pod = makePod("a")
    pod.spec.volumes = [
      Volume {
        $0.name = "scratch"
        $0.ephemeral = EphemeralVolumeSource {
          $0.volumeClaimTemplate = PersistentVolumeClaimTemplate {
            $0.metadata.labels = ["kind": "scratch"]
            $0.spec.storageClassName = "fast"
          }
        }
      }
    ]
    return pod
  }

  @Test func aClaimComesWithItsPod() throws {
    guard case .create(let claim) = EphemeralVolumeDecision.decide(pod, pod.spec.volumes[0], existing: nil) else {
      Issue.record("makes none")
      return
    }
    #expect(claim.metadata.name == "a-scratch" && claim.metadata.labels == ["kind": "scratch"])
    #expect(claim.spec.storageClassName == "fast" && claim.metadata.isControlled(by: "a-uid"))
    #expect(EphemeralVolumeDecision.decide(pod, pod.spec.volumes[0], existing: claim) == .nothing)
    var foreign = claim
    foreign.metadata.ownerReferences = []
    #expect(
      EphemeralVolumeDecision.decide(pod, pod.spec.volumes[0], existing: foreign)
        == .conflict("PVC default/a-scratch was not created for pod default/a (pod is not owner)"))
    var going = pod
    going.metadata.deletionTimestamp = moment
    #expect(EphemeralVolumeDecision.decide(going, pod.spec.volumes[0], existing: nil) == .nothing)
  }

  @Test func theControllerMakesItAgainWhenItIsDeleted() async throws {
    try await withControllers(["ephemeral-volume-controller"]) { api, client in
      try api.seed(pod)
      #expect(await eventually { api.objects(PersistentVolumeClaim.self).count == 1 })
      try await client.delete(PersistentVolumeClaim.self, namespace: "default", name: "a-scratch")
      #expect(await eventually { api.objects(PersistentVolumeClaim.self).count == 1 })
    }
  }
}

@Suite struct CacheLifetimeTests {
  @Test func stepsOverlap() {
    var lifetime = CacheLifetime()
    func grow(_ count: Int) -> Int {
      for _ in 0..<count { lifetime.nodeAdded() }
      return lifetime.seconds
    }
    func shrink(_ count: Int) -> Int {
      for _ in 0..<count { lifetime.nodeDeleted() }
      return lifetime.seconds
    }
    #expect(grow(100) == 0)
    #expect(grow(1) == 15)
    #expect(shrink(11) == 15)
    #expect(shrink(1) == 0)
    #expect(grow(2000) == 300)
    #expect(shrink(289) == 300)
    #expect(shrink(1) == 60)
    #expect(shrink(1799) == 0)
  }

  @Test func nodesAreTold() async throws {
    try await withControllers(["ttl-controller"]) { api, _ in
      try api.seed(Node { $0.metadata.name = "n" })
      #expect(
        await eventually {
          api.object(Node.self, name: "n")?.metadata.annotations["node.alpha.kubernetes.io/ttl"] == "0"
        })
    }
  }
}

@Suite struct ServiceCIDRTests {
  private func range(_ name: String, _ cidrs: String..., deleted: Int64? = nil) -> ServiceCIDR {
    ServiceCIDR {
      $0.metadata.name = name
      $0.metadata.finalizers = [ServiceCIDRDecision.finalizer]
      $0.metadata.deletionTimestamp = deleted.map { moment.adding(seconds: -$0) }
      $0.spec.cidrs = cidrs
    }
  }

  private func address(_ text: String) -> IPAddress {
    IPAddress {
      $0.metadata.name = text
      $0.metadata.labels = ["ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"]
    }
  }

  private func decide(
    _ range: ServiceCIDR, _ others: [ServiceCIDR] = [], _ addresses: [IPAddress] = []
  ) -> ServiceCIDRDecision {
    ServiceCIDRDecision.decide(range, others: others + [range], addresses: addresses, now: moment)
  }

  @Test func aNewRangeIsHeldAndReady() {
    var fresh = range("a", "10.0.0.0/24")
    fresh.metadata.finalizers = []
    guard case .write(let written) = decide(fresh) else {
      Issue.record("not held")
      return
    }
    #expect(written.metadata.finalizers == ["networking.k8s.io/service-cidr-finalizer"])
    #expect(written.status.conditions.isTrue("Ready"))
    #expect(decide(written) == .nothing)
  }

  @Test func aRangeInUseStays() {
    let going = range("a", "10.0.0.0/24", "fd00::/112", deleted: 60)
    for used in ["10.0.0.7", "fd00::9"] {
      guard case .writeStatus(let held) = decide(going, [], [address(used)]) else {
        Issue.record("\(used) does not hold it")
        continue
      }
      #expect(held.status.conditions.condition("Ready")?.reason == "Terminating")
      #expect(decide(held, [], [address(used)]) == .nothing)
    }
    guard case .release(let released) = decide(going, [], [address("10.0.1.7")]) else {
      Issue.record("is held")
      return
    }
    #expect(released.metadata.finalizers.isEmpty)
  }

  @Test func anotherRangeTakesTheAddressesOver() {
    let going = range("a", "10.0.0.0/24", deleted: 60)
    for other in [range("b", "10.0.0.0/16"), range("b", "10.0.0.0/24"), range("b", "10.0.0.0/28")] {
      guard case .release = decide(going, [other], [address("10.0.0.7")]) else {
        Issue.record("is held")
        continue
      }
    }
    guard case .writeStatus = decide(going, [range("b", "10.0.0.128/28")], [address("10.0.0.7")]) else {
      Issue.record("is not held")
      return
    }
  }

  @Test func allocatorsHearOfADeletionFirst() {
    #expect(decide(range("a", "10.0.0.0/24", deleted: 4)) == .wait(6))
  }
}

@Suite struct TokenSecretTests {
  private var account: ServiceAccount {
    ServiceAccount {
      $0.metadata.name = "bot"
      $0.metadata.namespace = "default"
      $0.metadata.uid = "bot-uid"
    }
  }

  private func secret(uid: String = "") -> Secret {
    Secret {
      $0.metadata.name = "bot-token"
      $0.metadata.namespace = "default"
      $0.metadata.annotations["kubernetes.io/service-account.name"] = "bot"
      if !uid.isEmpty { $0.metadata.annotations["kubernetes.io/service-account.uid"] = uid }
      $0.type = "kubernetes.io/service-account-token"
    }
  }

  @Test func whatIsMissingIsFilledIn() {
    guard
      case .fill(var filled, true) = TokenSecretDecision.decide(secret(), account: account, rootCA: Array("ca".utf8))
    else {
      Issue.record("not filled")
      return
    }
    #expect(filled.data["ca.crt"]?.string == "ca" && filled.data["namespace"]?.string == "default")
    #expect(filled.metadata.annotations["kubernetes.io/service-account.uid"] == "bot-uid")
    filled.data["token"] = Base64Bytes(Array("t".utf8))
    #expect(TokenSecretDecision.decide(filled, account: account, rootCA: Array("ca".utf8)) == .nothing)
    guard case .fill(_, false) = TokenSecretDecision.decide(filled, account: account, rootCA: Array("new".utf8)) else {
      Issue.record("keeps an old authority")
      return
    }
  }

  @Test func theTokenOfAnAccountThatIsGoneGoes() {
    #expect(TokenSecretDecision.decide(secret(), account: nil, rootCA: []) == .delete)
    #expect(TokenSecretDecision.decide(secret(uid: "earlier"), account: account, rootCA: []) == .delete)
    var other = secret()
    other.type = "Opaque"
    #expect(TokenSecretDecision.decide(other, account: nil, rootCA: []) == .nothing)
  }

  @Test func theControllerSignsDeletesAndForgets() async throws {
    let key = P256.Signing.PrivateKey().pemRepresentation
    try await withControllers(
      ["serviceaccount-token-controller"], configure: { $0.serviceAccountKeyPEM = key }
    ) { api, client in
      var account = account
      account.secrets = [ObjectReference { $0.name = "bot-token" }]
      let stored = try api.seed(account)
      try await client.create(secret())
      #expect(
        await eventually {
          api.object(Secret.self, namespace: "default", name: "bot-token")?.data["token"]?.isEmpty == false
        })
      let token = try #require(api.object(Secret.self, namespace: "default", name: "bot-token")?.data["token"]?.string)
      let claims = try ServiceAccountTokens(issuer: "x", keyPEM: key).verify(token).claims
      #expect(claims.legacySecretName == "bot-token" && claims.serviceAccount.uid == stored.metadata.uid)
      #expect(claims.issuer == "kubernetes/serviceaccount" && claims.expiry == nil)
      try await client.delete(Secret.self, namespace: "default", name: "bot-token")
      #expect(
        await eventually { api.object(ServiceAccount.self, namespace: "default", name: "bot")?.secrets.isEmpty == true }
      )
      try await client.create(secret())
      try await client.delete(ServiceAccount.self, namespace: "default", name: "bot")
      #expect(await eventually { api.objects(Secret.self).isEmpty })
    }
  }

  @Test func tokensThatNobodyUsesAreMarkedAndThenDeleted() {
    let day: Int64 = 86_400
    var account = account
    account.secrets = [ObjectReference { $0.name = "bot-token" }]
    var old = secret(uid: "bot-uid")
    old.metadata.creationTimestamp = moment.adding(seconds: -800 * day)
    func text(_ daysAgo: Int64) -> String { LegacyTokenDecision.text(moment.adding(seconds: -daysAgo * day)) }
    func decide(
      tracked: Int64 = 700, mounted: Set<String> = [], _ change: (inout Secret) -> Void = { _ in }
    ) -> String {
      var secret = old
      change(&secret)
      let decision = LegacyTokenDecision.decide(
        secrets: [secret], accounts: { _ in account }, mounted: { _ in mounted }, trackedSince: text(tracked),
        period: 365 * day, now: moment)
      return decision.mark.isEmpty ? decision.delete.isEmpty ? "keep" : "delete" : "mark"
    }
    #expect(decide() == "mark")
    #expect(decide(tracked: 365) == "keep")
    #expect(decide(mounted: ["bot-token"]) == "keep")
    #expect(decide { $0.metadata.labels[LegacyTokenDecision.lastUsed] = text(10) } == "keep")
    #expect(decide { $0.metadata.labels[LegacyTokenDecision.lastUsed] = "yesterday" } == "keep")
    #expect(decide { $0.metadata.creationTimestamp = moment } == "keep")
    #expect(decide { $0.metadata.labels[LegacyTokenDecision.invalidSince] = text(10) } == "keep")
    #expect(decide { $0.metadata.labels[LegacyTokenDecision.invalidSince] = text(366) } == "delete")
    #expect(decide { $0.metadata.annotations[TokenSecretDecision.uidAnnotation] = "other" } == "keep")
    account.secrets = []
    #expect(decide() == "keep")
  }
}

@Suite struct CertificateCleanerTests {
  @Test(arguments: [
    ("", 23, false), ("", 25, true), ("Approved", 1, false), ("Approved", 2, true), ("Denied", 2, true),
    ("Failed", 2, true), ("Other", 2, false),
  ])
  func requestsThatAreDecidedGoAfterAnHour(condition: String, hours: Int64, over: Bool) {
    let request = CertificateSigningRequest {
      $0.metadata.creationTimestamp = moment.adding(seconds: -hours * 3600)
      if !condition.isEmpty {
        $0.status.conditions = [
          CertificateSigningRequestCondition {
            $0.type = condition
            $0.status = "True"
            $0.lastUpdateTime = moment.adding(seconds: -hours * 3600)
          }
        ]
      }
    }
    #expect(CertificateRequestCleaner.isOver(request, now: moment) == over)
  }
}

@Suite struct VolumeExpanderTests {
  @Test func onlyBoundClaimsThatAskForMoreAreWaitedFor() throws {
    let one = try Quantity(parsing: "1Gi"), two = try Quantity(parsing: "2Gi")
    func claim(_ request: Quantity, phase: String = "Bound") -> PersistentVolumeClaim {
      PersistentVolumeClaim {
        $0.spec.resources.requests["storage"] = request
        $0.status.capacity["storage"] = one
        $0.status.phase = phase
      }
    }
    #expect(VolumeExpander.wantsMore(claim(two)))
    #expect(!VolumeExpander.wantsMore(claim(one)) && !VolumeExpander.wantsMore(claim(two, phase: "Pending")))
  }
}

@Suite struct ControllerSelectionTests {
  private func names(_ controllers: [String]) -> Set<String> {
    var configuration = ControllerManager.Configuration()
    configuration.controllers = controllers
    let client = MemoryAPI().client()
    return Set(
      ControllerManager(
        client: client, informers: InformerFactory(client: client), configuration: configuration,
        logger: Logger(label: "test")
      ).controllerNames)
  }

  @Test func aPartBringsItsWhole() {
    #expect(names(["ttl-after-finished-controller"]) == ["job-controller"])
    #expect(
      names(["persistentvolume-protection-controller"]) == ["persistentvolumeclaim-protection-controller"])
    #expect(names(["*", "-job-controller", "-ttl-after-finished-controller"]).isDisjoint(with: ["job-controller"]))
    #expect(names(["deployment-controller", "-deployment-controller"]) == ["deployment-controller"])
    #expect(names(["-deployment-controller"]).isEmpty)
  }

  @Test func workersAreUpstreamsUnlessToldOtherwise() {
    var configuration = ControllerManager.Configuration()
    #expect(configuration.workers(.garbageCollector) == 20 && configuration.workers(.daemonSet) == 2)
    configuration.concurrency[.daemonSet] = 7
    #expect(configuration.workers(.daemonSet) == 7)
    #expect(Set(ControllerManager.ConcurrentSyncs.allCases.map(\.rawValue)).count == 21)
  }
}
