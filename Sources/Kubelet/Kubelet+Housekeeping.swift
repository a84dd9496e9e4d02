import API
import CRI
import Client
import Logging

extension Kubelet {
  /// Ends what no pod stands for any more, until cancelled. Begins only when the pods are known: before that
  /// every container would look like an orphan.
  func housekeep() async {
    do { try await pods.waitForSync() } catch { return }
    if let directory = configuration.staticPodPath {
      // Static pods are read once before anything is judged.
      for pod in StaticPods(directory: directory, nodeName: configuration.nodeName).read(logger: logger) { give(pod) }
    }
    while !Task.isCancelled {
      do { try await Task.sleep(for: .seconds(2)) } catch { return }
      await endOrphans()
      objects.retain(workers.pods)
    }
  }

  private func endOrphans() async {
    let alive = workers.uids
    let orphans = pleg.known.filter { !alive.contains($0.uid) }
    await withDiscardingTaskGroup { group in
      for orphan in orphans { group.addTask { await self.endOrphan(orphan.uid, orphan.name, orphan.namespace) } }
    }
    for uid in (try? volumes.podsOnDisk()) ?? [] where !workers.uids.contains(uid) {
      if pleg.known.contains(where: { $0.uid == uid }) { continue }
      do {
        try volumes.unmount(uid: uid)
        runtime.d.cgroups.remove(uid: uid)
      } catch {
        logger.warning("removing an orphaned pod's directory failed", metadata: ["uid": "\(uid)", "error": "\(error)"])
      }
    }
  }

  private func endOrphan(_ uid: String, _ name: String, _ namespace: String) async {
    do {
      let found = try await reader.pod(uid: uid, name: name, namespace: namespace)
      if found.containers.isEmpty, found.sandboxes.isEmpty { return }
      if found.isRunning {
        logger.info("ending a pod that nobody knows", metadata: ["pod": "\(namespace)/\(name)", "uid": "\(uid)"])
        try await runtime.kill(nil, found, override: nil)
      }
      await PodRemains.remove(
        uid: uid, logDirectory: "\(configuration.podLogsDirectory)/\(namespace)_\(name)_\(uid)", engine: engine,
        linksDirectory: configuration.containerLogsDirectory, logger: logger)
    } catch {
      logger.debug("ending an orphan failed", metadata: ["uid": "\(uid)", "error": "\(describe(error))"])
    }
  }

  /// Collects containers, images and old logs until cancelled.
  func collect() async {
    do { try await pods.waitForSync() } catch { return }
    let containers = ContainerGC(engine: engine, configuration: configuration, clock: clock, logger: logger)
    let logs = LogRotation(
      engine: engine, maxSize: configuration.containerLogMaxSize, maxFiles: configuration.containerLogMaxFiles,
      logger: logger)
    var round = 0
    while !Task.isCancelled {
      do { try await Task.sleep(for: configuration.containerLogMonitorInterval) } catch { return }
      round += 1
      await logs.run()
      // Logs every ten seconds, containers every minute, images every five.
      if round % 6 == 0 {
        await containers.run(livePods: workers.uids)
        runtime.collect()
      }
      if round % 30 == 0 { await imageGC.run() }
    }
  }
}
