import API
import CRI
import Logging
import Synchronization

/// Removes images that nobody uses when the disk fills, those unused longest first.
final class ImageGC: Sendable {
  struct Record: Sendable, Equatable {
    var firstSeen: ContinuousTime
    var lastUsed: ContinuousTime
    var size: UInt64
  }

  private let engine: any ContainerEngine
  private let configuration: KubeletConfiguration
  private let clock: @Sendable () -> ContinuousTime
  private let events: @Sendable (_ type: String, _ reason: String, _ message: String) -> Void
  private let logger: Logger
  private let records = Mutex<[String: Record]>([:])

  init(
    engine: any ContainerEngine, configuration: KubeletConfiguration, clock: @escaping @Sendable () -> ContinuousTime,
    logger: Logger, events: @escaping @Sendable (String, String, String) -> Void
  ) {
    self.engine = engine
    self.configuration = configuration
    self.clock = clock
    self.logger = logger
    self.events = events
  }

  /// One round.
  func run() async {
    do {
      let inUse = try await detect()
      let path = try await engine.imageFileSystems().first?.fsID.mountpoint ?? configuration.rootDirectory
      guard let disk = Machine.fileSystem(path) ?? Machine.fileSystem(configuration.rootDirectory), disk.size > 0 else {
        return
      }
      let used = 100 - Int(disk.free * 100 / disk.size)
      guard used >= configuration.imageGCHighThresholdPercent else { return }
      var toFree = disk.size * Int64(100 - configuration.imageGCLowThresholdPercent) / 100 - disk.free
      let now = clock()
      for id in Self.candidates(
        records.withLock { $0 }, inUse: inUse, minimumAge: configuration.imageMinimumGCAge, now: now)
      {
        guard toFree > 0 else { break }
        var spec = CRIImageSpec()
        spec.image = id
        try await engine.removeImage(spec)
        toFree -= Int64(clamping: records.withLock { $0.removeValue(forKey: id)?.size ?? 0 })
      }
      if toFree > 0 {
        events(
          "Warning", "FreeDiskSpaceFailed",
          "Failed to garbage collect required amount of images. Attempted to free \(toFree) bytes more than could be freed."
        )
      }
    } catch {
      logger.debug("collecting images failed", metadata: ["error": "\(describe(error))"])
    }
  }

  /// Which images to remove, in order. Pure.
  static func candidates(_ records: [String: Record], inUse: Set<String>, minimumAge: Duration, now: ContinuousTime)
    -> [String]
  {
    records.filter { !inUse.contains($0.key) && $0.value.firstSeen.duration(to: now) >= minimumAge }
      .sorted { ($0.value.lastUsed, $0.value.firstSeen, $0.key) < ($1.value.lastUsed, $1.value.firstSeen, $1.key) }
      .map(\.key)
  }

  private func detect() async throws -> Set<String> {
    let images = try await engine.listImages()
    let containers = try await engine.listContainers(CRIContainerFilter())
    let references = Set(containers.flatMap { [$0.imageRef, $0.imageID, $0.image.image] })
    var inUse: Set<String> = []
    let now = clock()
    for image in images {
      let names = [image.id] + image.repoTags + image.repoDigests
      if image.pinned
        || names.contains(where: { references.contains($0) || $0 == configuration.podInfraContainerImage })
      {
        inUse.insert(image.id)
      }
    }
    records.withLock { all in
      let ids = Set(images.map(\.id))
      for id in all.keys where !ids.contains(id) { all[id] = nil }
      for image in images {
        var record = all[image.id] ?? Record(firstSeen: now, lastUsed: ContinuousTime(nanoseconds: 0), size: image.size)
        if inUse.contains(image.id) { record.lastUsed = now }
        all[image.id] = record
      }
    }
    return inUse
  }
}
