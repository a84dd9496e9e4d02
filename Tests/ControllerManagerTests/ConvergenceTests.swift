import API
import APIMachinery
import Client
import Testing

@testable import ControllerManager

/// Whatever a decision finds, obeying it leads to a state in which it asks for nothing.
@Suite struct ConvergenceTests {
  @Test(arguments: 0..<40 as Range<UInt64>)
  func replicaSets(seed: UInt64) {
    var random = SplitMix(state: seed)
    var set = makeReplicaSet(replicas: .random(in: 0...1500, using: &random))
    set.spec.minReadySeconds = .random(in: 0...100, using: &random)
    var pods = (0..<Int.random(in: 0...1800, using: &random)).map { index in
      makePod("p\(index)", node: "n\(index % 7)", ready: Bool.random(using: &random))
    }
    var rounds = 0
    loop: while rounds < 10 {
      rounds += 1
      switch ReplicaDecision.action(set, active: pods, related: pods, now: moment) {
      case .nothing: break loop
      case .create(let count):
        #expect(count <= 500)
        pods += (0..<count).map { makePod("r\(rounds)-\($0)", ready: false) }
      case .delete(let victims):
        // Nobody who serves goes while one that does not may.
        let doomed = Set(victims.map(\.metadata.uid))
        let kept = pods.filter { !doomed.contains($0.metadata.uid) }
        if victims.contains(where: { $0.isReady }) { #expect(kept.allSatisfy { $0.isReady }) }
        pods = kept
      }
    }
    #expect(pods.count == Int(set.spec.replicas ?? -1) && rounds <= 5)
    set.replicaStatus = ReplicaDecision.status(set, active: pods, terminating: 0, failure: nil, now: moment)
    #expect(
      set.replicaStatus == ReplicaDecision.status(set, active: pods, terminating: 0, failure: nil, now: moment))
  }

  /// A Job's pods end as chance will have it; it ends too, and has counted each of them exactly once.
  @Test(arguments: 0..<60 as Range<UInt64>)
  func jobs(seed: UInt64) {
    var random = SplitMix(state: seed)
    let indexed = Bool.random(using: &random)
    var job = Job {
      $0.metadata.name = "work"
      $0.metadata.namespace = "default"
      $0.metadata.uid = "job"
      $0.spec.completions = .random(in: 1...6, using: &random)
      $0.spec.parallelism = .random(in: 1...4, using: &random)
      $0.spec.completionMode = indexed ? "Indexed" : "NonIndexed"
      $0.spec.backoffLimit = .random(in: 0...6, using: &random)
      if indexed, Bool.random(using: &random) { $0.spec.backoffLimitPerIndex = .random(in: 0...2, using: &random) }
      $0.spec.template = template(image: "work:1")
      $0.spec.template.spec.restartPolicy = "Never"
    }
    var pods: [String: Pod] = [:]
    var succeeded = 0
    var now = moment
    var quiet = 0
    for round in 0..<400 where quiet < 3 {
      now = now.adding(seconds: 30)
      let decision = JobDecision.decide(job, pods: Array(pods.values), now: now)
      let writes = !decision.create.isEmpty || !decision.delete.isEmpty || decision.status != job.status
      quiet = writes || !JobDecision.isFinished(job) ? 0 : quiet + 1
      job.status = decision.status
      for (index, new) in decision.create.enumerated() {
        var pod = JobDecision.pod(job, new, random: "x")
        pod.metadata.name = "p\(round)-\(index)"
        pod.metadata.uid = pod.metadata.name
        pod.metadata.creationTimestamp = now
        pod.status.phase = "Running"
        pods[pod.metadata.uid] = pod
      }
      #expect(pods.values.count(where: \.isActive) <= Int(job.spec.parallelism ?? 0) + decision.delete.count)
      for pod in decision.discard { pods[pod.metadata.uid] = nil }
      for pod in decision.delete { pods[pod.metadata.uid]?.metadata.deletionTimestamp = now }
      for pod in decision.release { pods[pod.metadata.uid]?.metadata.finalizers = [] }
      for (uid, pod) in pods {
        if pod.isBeingDeleted, !pod.isTerminal { pods[uid]?.status.phase = "Failed" }
        if pod.metadata.finalizers.isEmpty, Bool.random(using: &random) { pods[uid] = nil }
        guard pod.isActive, Bool.random(using: &random) else { continue }
        let works = Int.random(in: 0..<4, using: &random) > 0
        pods[uid]?.status.phase = works ? "Succeeded" : "Failed"
        if works { succeeded += 1 }
      }
    }
    #expect(quiet == 3)
    #expect(Int(job.status.succeeded) <= succeeded)
    if job.status.conditions.isTrue("Complete"), job.spec.backoffLimitPerIndex == nil {
      #expect(job.status.succeeded == job.spec.completions)
    }
    #expect(pods.values.allSatisfy { $0.metadata.finalizers.isEmpty })
    #expect(job.status.active == 0)
  }

  /// Pods come, go and move; a volume for one is never on two nodes, and ends where the last pod is.
  @Test(arguments: 0..<60 as Range<UInt64>)
  func attachments(seed: UInt64) {
    var random = SplitMix(state: seed)
    let isShared = seed % 3 == 0
    let source = CSIPersistentVolumeSource {
      $0.driver = "disk.example.com"
      $0.volumeHandle = "h"
    }
    let volume = PersistentVolume {
      $0.metadata.name = "pv"
      $0.spec.accessModes = [isShared ? "ReadWriteMany" : "ReadWriteOnce"]
      $0.spec.csi = source
    }
    var nodes: [String: Node] = [:]
    for index in 0..<3 {
      nodes["n\(index)"] = Node {
        $0.metadata.name = "n\(index)"
        $0.metadata.annotations[AttachDecision.managedAnnotation] = "true"
        $0.status.conditions = [
          NodeCondition {
            $0.type = "Ready"
            $0.status = "True"
          }
        ]
      }
    }
    var pods: [Pod] = []
    var attachments: [VolumeAttachment] = []
    var unneeded: [String: Time] = [:]
    var now = moment
    var quiet = 0
    for round in 0..<100 where quiet < 3 {
      now = now.adding(seconds: 60)
      if round < 20 {
        if Int.random(in: 0..<3, using: &random) == 0 {
          pods = [makePod("p\(round)", node: "n\(Int.random(in: 0..<3, using: &random))")]
        }
        if Int.random(in: 0..<6, using: &random) == 0 { pods.append(makePod("q\(round)", node: "n0")) }
      }
      let decision = AttachDecision.decide(
        .init(
          volume: volume, source: source, needsAttachment: true, pods: pods, attachments: attachments, nodes: nodes,
          unneeded: unneeded, mayForce: true), now: now)
      quiet = round < 20 || !decision.attach.isEmpty || !decision.detach.isEmpty ? 0 : quiet + 1
      unneeded = decision.unneeded
      for node in decision.attach { attachments.append(Attachment.make(volume, source, node: node)) }
      if !isShared { #expect(Set(attachments.map(\.spec.nodeName)).count <= 1) }
      for attachment in decision.detach {
        let node = attachment.spec.nodeName
        // While the node is well, a volume is only taken from it when it has let go.
        #expect(nodes[node]?.status.volumesInUse.isEmpty == true)
        attachments.removeAll { $0.metadata.name == attachment.metadata.name }
      }
      // Kubelets mount what is there for their pods, and unmount, in their own time.
      for name in nodes.keys where Bool.random(using: &random) {
        let mounts = pods.contains { $0.spec.nodeName == name } && attachments.contains { $0.spec.nodeName == name }
        nodes[name]?.status.volumesInUse = mounts ? [Attachment.uniqueName(source)] : []
        if !mounts { quiet = 0 }
      }
      if nodes.values.allSatisfy({ node in
        node.status.volumesInUse.isEmpty || pods.contains { $0.spec.nodeName == node.metadata.name }
      }), round > 40 {
        quiet = decision.attach.isEmpty && decision.detach.isEmpty ? quiet + 1 : 0
      }
    }
    let wanted = Set(pods.map(\.spec.nodeName))
    let there = Set(attachments.map(\.spec.nodeName))
    #expect(isShared ? there == wanted : there.isSubset(of: wanted) && there.isEmpty == wanted.isEmpty)
  }

  @Test(arguments: 0..<60 as Range<UInt64>)
  func serviceRanges(seed: UInt64) {
    var random = SplitMix(state: seed)
    let cidrs = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.2.0.0/16", "fd00::/112"]
    var ranges: [ServiceCIDR] = (0..<Int.random(in: 1...4, using: &random)).map { index in
      ServiceCIDR {
        $0.metadata.name = "r\(index)"
        $0.spec.cidrs = [cidrs.randomElement(using: &random) ?? ""]
        if Bool.random(using: &random) { $0.metadata.deletionTimestamp = moment.adding(seconds: -60) }
        if Bool.random(using: &random) { $0.metadata.finalizers = [ServiceCIDRDecision.finalizer] }
      }
    }
    let addresses = (0..<3).map { _ in
      IPAddress {
        $0.metadata.name = ["10.1.2.3", "10.2.0.1", "fd00::5"].randomElement(using: &random) ?? ""
        $0.metadata.labels["ipaddress.kubernetes.io/managed-by"] = "ipallocator.k8s.io"
      }
    }
    let held = addresses.filter { !ServiceCIDRDecision.containing($0, ranges).isEmpty }
    var writes = 1
    var rounds = 0
    while writes > 0, rounds < 10 {
      writes = 0
      rounds += 1
      for range in ranges {
        guard let present = ranges.first(where: { $0.metadata.name == range.metadata.name }) else { continue }
        switch ServiceCIDRDecision.decide(present, others: ranges, addresses: addresses, now: moment) {
        case .nothing, .wait: continue
        case .write(let changed), .writeStatus(let changed):
          ranges = ranges.map { $0.metadata.name == changed.metadata.name ? changed : $0 }
        case .release(let changed):
          ranges.removeAll { $0.metadata.name == changed.metadata.name }
        }
        writes += 1
      }
    }
    #expect(rounds < 6)
    // What nobody held from the start went without asking.
    let lost = held.filter { ServiceCIDRDecision.containing($0, ranges).isEmpty }
    #expect(lost.isEmpty)
    for range in ranges where range.metadata.deletionTimestamp == nil {
      #expect(range.status.conditions.isTrue("Ready") && range.metadata.finalizers == [ServiceCIDRDecision.finalizer])
    }
  }

  @Test(arguments: 0..<100 as Range<UInt64>)
  func taints(seed: UInt64) {
    var random = SplitMix(state: seed)
    let keys = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "mine"]
    var node = Node {
      $0.metadata.name = "n"
      $0.spec.unschedulable = Bool.random(using: &random)
      for type in NodeHealth.watched where Bool.random(using: &random) {
        $0.status.conditions.append(
          NodeCondition {
            $0.type = type
            $0.status = ["True", "False", "Unknown"].randomElement(using: &random) ?? ""
          })
      }
      for key in keys {
        for effect in ["NoSchedule", "NoExecute"] where Bool.random(using: &random) {
          $0.spec.taints.append(
            Taint {
              $0.key = key
              $0.effect = effect
            })
        }
      }
    }
    let mayEvict = Bool.random(using: &random)
    let foreign = node.spec.taints.filter { $0.key == "mine" }
    node.spec.taints = NodeTaints.desired(for: node, mayEvict: mayEvict, now: moment)
    #expect(NodeTaints.desired(for: node, mayEvict: mayEvict, now: moment.adding(seconds: 9)) == node.spec.taints)
    #expect(node.spec.taints.filter { $0.key == "mine" } == foreign)
  }

  @Test(arguments: 0..<60 as Range<UInt64>)
  func budgets(seed: UInt64) {
    var random = SplitMix(state: seed)
    var budget = PodDisruptionBudget {
      $0.metadata.name = "b"
      $0.metadata.generation = 3
      $0.spec.minAvailable = .int(.random(in: 0...5, using: &random))
      for index in 0..<4 where Bool.random(using: &random) {
        $0.status.disruptedPods["p\(index)"] = moment.adding(seconds: -.random(in: 0...200, using: &random))
      }
    }
    let pods = (0..<Int.random(in: 0...6, using: &random)).map { makePod("p\($0)", ready: Bool.random(using: &random)) }
    let expectation = DisruptionDecision.expectation(budget, pods: pods) { pods.count }
    budget.status = DisruptionDecision.decide(budget, pods: pods, expectation, now: moment).status
    #expect(DisruptionDecision.decide(budget, pods: pods, expectation, now: moment).status == budget.status)
  }

  @Test(arguments: 0..<40 as Range<UInt64>)
  func cronJobs(seed: UInt64) {
    var random = SplitMix(state: seed)
    let start = Time(seconds: 1_767_225_600)
    var cron = CronJob {
      $0.metadata.name = "often"
      $0.metadata.namespace = "default"
      $0.metadata.uid = "cron"
      $0.metadata.creationTimestamp = start
      $0.spec.schedule = ["* * * * *", "*/7 * * * *", "3 */2 * * *"].randomElement(using: &random) ?? ""
      $0.spec.concurrencyPolicy = ["Allow", "Forbid", "Replace"].randomElement(using: &random) ?? ""
      $0.spec.successfulJobsHistoryLimit = 1
      $0.spec.failedJobsHistoryLimit = 1
    }
    var due: Set<Int64> = []
    var now = start
    for _ in 0..<200 {
      now = now.adding(seconds: .random(in: 1...200, using: &random))
      let decision = CronJobDecision.decide(cron, jobs: [], now: now)
      cron.status = decision.status
      if let time = decision.start {
        // Never twice for one time, and never before it.
        #expect(due.insert(time.seconds).inserted && time <= now)
        cron.status.lastScheduleTime = time
        cron.status.active = []
      }
      let again = CronJobDecision.decide(cron, jobs: [], now: now)
      #expect(again.start == nil && (again.requeue ?? 0) > 0)
    }
    #expect(!due.isEmpty)
  }

  @Test(arguments: 0..<40 as Range<UInt64>)
  func mirrors(seed: UInt64) {
    var random = SplitMix(state: seed)
    var slices: [EndpointSlice] = []
    for round in 0..<4 {
      let endpoints = Endpoints {
        $0.metadata.name = "custom"
        $0.metadata.namespace = "default"
        $0.metadata.uid = "custom-uid"
        $0.subsets = (0..<Int.random(in: 0...3, using: &random)).map { port in
          EndpointSubset { subset in
            subset.addresses = (0..<Int.random(in: 0...40, using: &random)).map { index in
              EndpointAddress { $0.ip = index % 5 == 0 ? "fd00::\(index)" : "10.0.\(port).\(index)" }
            }
            subset.ports = [
              EndpointPort {
                $0.name = "p\(port)"
                $0.port = Int32(80 + port)
                $0.protocol = "TCP"
              }
            ]
          }
        }
      }
      let mirror = EndpointSliceMirror.decide(endpoints, slices: slices)
      slices.removeAll { slice in mirror.delete.contains { $0.metadata.name == slice.metadata.name } }
      for update in mirror.update {
        slices = slices.map { $0.metadata.name == update.metadata.name ? update : $0 }
      }
      for (index, created) in mirror.create.enumerated() {
        var slice = created
        slice.metadata.name = "s\(round)-\(index)"
        slices.append(slice)
      }
      let again = EndpointSliceMirror.decide(endpoints, slices: slices)
      #expect(again.create.isEmpty && again.update.isEmpty && again.delete.isEmpty)
    }
  }
}
