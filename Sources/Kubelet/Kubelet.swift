public import API
public import CRI
public import Client
import HTTP
public import Logging
import Synchronization

/// Runs the pods of one node: watches those that are bound to it, makes a container runtime have what they ask
/// for, and tells the API how they are.
///
/// ```
///  informer ─┐                        ┌─▶ PodRuntime ─▶ container runtime
///  files ────┴▶ PodWorkers ▶ PodSyncer┼─▶ VolumeManager
///  PLEG, probes ──poke──▲             └─▶ StatusManager ─▶ API
/// ```
public final class Kubelet: Sendable {
  let configuration: KubeletConfiguration
  let client: APIClient
  let engine: any ContainerEngine
  let logger: Logger
  let pods: Informer<Pod>
  let nodes: Informer<Node>
  let services: Informer<Service>
  let reader: RuntimeReader
  let pleg: PLEG
  let probes: ProbeManager
  let statuses: StatusManager
  let volumes: VolumeManager
  let objects: APIObjects
  let keeper: NodeKeeper
  let workers: PodWorkers
  let syncer: PodSyncer
  let runtime: PodRuntime
  let events: PodEvents
  let imageGC: ImageGC
  let clock: @Sendable () -> ContinuousTime
  private let port = Mutex<Int?>(nil)

  /// A kubelet on a runtime's CRI clients.
  public convenience init(
    client: APIClient, informers: InformerFactory, runtime: RuntimeService, images: ImageService,
    configuration: KubeletConfiguration, logger: Logger
  ) {
    self.init(
      client: client, informers: informers,
      runtime: CRIEngine(runtime: runtime, images: images, timeout: configuration.runtimeRequestTimeout),
      configuration: configuration, logger: logger)
  }

  /// A kubelet on any engine.
  public convenience init(
    client: APIClient, informers: InformerFactory, runtime: any ContainerEngine, configuration: KubeletConfiguration,
    logger: Logger
  ) {
    self.init(
      client: client, informers: informers, runtime: runtime, configuration: configuration, logger: logger,
      mounter: SystemMounter(), handlers: nil)
  }

  /// With the parts that tests replace.
  init(
    client: APIClient, informers: InformerFactory, runtime engine: any ContainerEngine,
    configuration: KubeletConfiguration, logger: Logger, mounter: any Mounter, handlers: (any HandlerRunner)?
  ) {
    self.configuration = configuration
    self.client = client
    self.engine = engine
    self.logger = logger
    let name = configuration.nodeName
    let clock: @Sendable () -> ContinuousTime = {
      let now = MicroTime.now
      return ContinuousTime(nanoseconds: now.seconds * 1_000_000_000 + Int64(now.nanoseconds))
    }
    self.clock = clock
    let pods = informers.informer(Pod.self, fieldSelector: "spec.nodeName=\(name)")
    let nodes = informers.informer(Node.self, fieldSelector: "metadata.name=\(name)")
    let services = informers.informer(Service.self)
    self.pods = pods
    self.nodes = nodes
    self.services = services
    let recorder = EventRecorder(client: client, component: "kubelet", host: name)
    let events = PodEvents(recorder)
    self.events = events
    let reader = RuntimeReader(engine: engine)
    self.reader = reader
    // The workers and those who wake them need each other.
    let link = Link()
    let pleg = PLEG(
      engine: engine, reader: reader, period: configuration.plegRelistPeriod, clock: clock, logger: logger,
      onChange: { link.workers?.poke(uid: $0) })
    self.pleg = pleg
    let runner = handlers ?? NetworkHandlerRunner(engine: engine)
    let hostIPs = configuration.nodeIPs.isEmpty ? HostAddresses.primary() : configuration.nodeIPs
    let probes = ProbeManager(
      runner: runner, events: events, hostIP: hostIPs.first ?? "127.0.0.1", clock: clock,
      onChange: { link.workers?.poke(uid: $0) })
    self.probes = probes
    let statuses = StatusManager(client: client, current: { pods.lister.get($0) }, logger: logger)
    self.statuses = statuses
    let objects = APIObjects(
      client: client, logger: logger, clock: clock,
      onChange: { namespace, kind, name in
        for pod in link.workers?.pods ?? []
        where pod.metadata.namespace == namespace && references(of: pod).contains(where: { $0 == (kind, name) }) {
          link.workers?.poke(uid: pod.metadata.uid)
        }
      })
    self.objects = objects
    let keeper = NodeKeeper(
      client: client, engine: engine, configuration: configuration, machine: Machine.read(), hostIPs: hostIPs,
      events: recorder,
      clock: clock, problem: { pleg.problem }, volumesInUse: { [] },
      onReady: { for pod in link.workers?.pods ?? [] { link.workers?.poke(uid: pod.metadata.uid) } }, logger: logger)
    self.keeper = keeper
    let volumes = VolumeManager(
      root: configuration.rootDirectory, mounter: mounter, objects: objects,
      host: {
        let facts = keeper.facts
        return (facts.hostIPs, facts.allocatable, facts.labels)
      })
    self.volumes = volumes
    let puller = ImagePuller(
      engine: engine, events: events, serialize: configuration.serializeImagePulls, clock: clock)
    let runtime = PodRuntime(
      .init(
        engine: engine, reader: reader, puller: puller, events: events, hooks: Hooks(runner: runner), objects: objects,
        services: { services.lister.list() },
        runtimeHandler: { try await client.get(RuntimeClass.self, name: $0).handler }, facts: { keeper.facts },
        configuration: configuration, cgroups: PodCgroups(root: configuration.cgroupRoot), clock: clock, logger: logger)
    )
    self.runtime = runtime
    let syncer = PodSyncer(
      .init(
        runtime: runtime, reader: reader, statuses: statuses, volumes: volumes, probes: probes, events: events,
        objects: objects,
        mirrors: MirrorPods(
          client: client, nodeName: name, node: { keeper.registered }, current: { pods.lister.get($0) }, logger: logger),
        engine: engine, runtimeName: { keeper.runtimeName }, networkProblem: { keeper.networkProblem },
        facts: { keeper.facts }, configuration: configuration, clock: clock, logger: logger,
        condemn: { link.workers?.condemn(uid: $0, $1) }))
    self.syncer = syncer
    workers = PodWorkers { pod in
      PodWorker(pod: pod, work: syncer, resync: configuration.syncFrequency, clock: clock, logger: logger)
    }
    imageGC = ImageGC(
      engine: engine, configuration: configuration, clock: clock, logger: logger,
      events: { keeper.event($0, $1, $2) })
    link.set(workers)
  }

  /// The port of the HTTPS server once it listens.
  public var serverPort: Int? { port.withLock { $0 } }

  /// Runs until cancelled. Containers go on running; the next kubelet finds them again.
  public func run() async throws {
    try Files.makeDirectories(configuration.rootDirectory, mode: 0o750)
    try Files.makeDirectories(configuration.podLogsDirectory)
    // What already runs must be known before pods are judged.
    await pleg.relist()
    await keeper.askRuntime()
    let server = try await startServer()
    keeper.event("Normal", "Starting", "Starting kubelet.")
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.workers.run() }
      group.addTask { await self.statuses.run() }
      group.addTask { await self.pleg.run() }
      group.addTask { await self.keeper.runStatus() }
      group.addTask { await self.keeper.runLease() }
      group.addTask { await self.housekeep() }
      group.addTask { await self.collect() }
      if let server { group.addTask { await self.renewCertificate(of: server) } }
      if let directory = configuration.staticPodPath {
        group.addTask {
          await self.readStaticPods(StaticPods(directory: directory, nodeName: self.configuration.nodeName))
        }
      }
      follow()
      await group.waitForAll()
    }
    probes.removeAll()
    objects.stop()
    await server?.shutdown()
    try Task.checkCancellation()
  }

  func serverStarted(_ bound: Int) {
    port.withLock { $0 = bound }
    keeper.setPort(bound)
  }

  /// Holds the workers for those made before them.
  private final class Link: Sendable {
    private let held = Mutex<PodWorkers?>(nil)
    var workers: PodWorkers? { held.withLock { $0 } }
    func set(_ workers: PodWorkers) { held.withLock { $0 = workers } }
  }
}
