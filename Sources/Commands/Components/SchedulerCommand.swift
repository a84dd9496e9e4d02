import APIMachinery
import ArgumentParser
import Client
import Logging
import Scheduler
import ServiceLifecycle

/// The scheduler by itself, in place of upstream's kube-scheduler.
struct SchedulerCommand: ComponentCommand {
  static let configuration = CommandConfiguration(
    commandName: "kube-scheduler", abstract: "Run the scheduler, as kube-scheduler.")

  @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

  static let flags = GoFlags(
    component: "kube-scheduler",
    CommonFlags.base + CommonFlags.access + CommonFlags.leaderElection("kube-scheduler")
      + CommonFlags.serving(port: 10259) + [
        .text("config", "", "A KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1)."),
        .duration(
          "pod-max-in-unschedulable-pods-duration", "5m0s", "Taken and not used: refused pods wait for events."),
      ],
    elsewhere: ["write-config-to": "the configuration in use is at /configz of --secure-port"])

  func services(
    _ given: FlagValues, logger: @escaping @Sendable (String) -> Logger
  ) async throws -> [any Service] {
    var values = given
    var configuration = Scheduler.Configuration()
    if let path = values.path("config") {
      let file = try ConfigFile(
        path, kind: "KubeSchedulerConfiguration", apiVersion: "kubescheduler.config.k8s.io/v1")
      try file.allow(only: [
        "clientConnection", "leaderElection", "parallelism", "percentageOfNodesToScore", "podInitialBackoffSeconds",
        "podMaxBackoffSeconds", "profiles", "enableProfiling", "enableContentionProfiling", "delayCacheUntilActive",
        "extenders",
      ])
      values.fill("kubeconfig", file.value("clientConnection", "kubeconfig")?.stringValue)
      try values.fillLeaderElection(file)
      if let seconds = file.value("podInitialBackoffSeconds")?.intValue {
        configuration.podInitialBackoffSeconds = Double(seconds)
      }
      if let seconds = file.value("podMaxBackoffSeconds")?.intValue {
        configuration.podMaxBackoffSeconds = Double(seconds)
      }
      do {
        configuration.extenders = try SchedulerExtender.extenders(file.value("extenders"))
        configuration.profiles = try SchedulerProfile.profiles(file.value("profiles"))
      } catch {
        throw FlagError("--config: \(path): \(error)")
      }
    }
    let settings = configuration
    let client = try CommonFlags.client(values, component: "kube-scheduler")
    let health = ComponentHealth(
      name: "kube-scheduler",
      configuration: [
        "kubescheduler.config.k8s.io": .object([
          "kind": .string("KubeSchedulerConfiguration"), "apiVersion": .string("kubescheduler.config.k8s.io/v1"),
          "profiles": .array(settings.profiles.map { .object(["schedulerName": .string($0.schedulerName)]) }),
          "podInitialBackoffSeconds": .int(Int64(settings.podInitialBackoffSeconds)),
          "podMaxBackoffSeconds": .int(Int64(settings.podMaxBackoffSeconds)),
        ])
      ])
    let informers = InformerFactory(client: client, logger: logger("informers"))
    // Made before the lead is won: its cache is warm when the turn comes.
    let scheduler = Scheduler(
      client: client, informers: informers, configuration: settings, logger: logger("kube-scheduler"))
    let process = LeadingProcess(values: values, client: client, logger: logger("leader-election"), health: health)
    return [
      try ComponentServer.service(values, health: health, logger: logger("serving")),
      Component("informers", informers.run),
      Component("kube-scheduler") { try await process.run(scheduler.run) },
    ].compactMap { $0 }
  }
}
