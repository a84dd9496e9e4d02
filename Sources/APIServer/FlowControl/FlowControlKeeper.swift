import API
import APIMachinery
import APIMeta
import Logging

/// Makes the default FlowSchemas and priority levels, keeps those that follow the defaults as they are to be, and says
/// in every FlowSchema's status whether its priority level exists.
struct FlowControlKeeper: Sendable {
  let registry: Registry
  let control: FlowControl
  let logger: Logger
  private static let period = Duration.seconds(60)

  /// Makes and mends the defaults once.
  func ensure() async throws {
    try await ensure(FlowControlDefaults.levels) { wanted, present in present.spec = wanted.spec }
    try await ensure(FlowControlDefaults.schemas) { wanted, present in present.spec = wanted.spec }
  }

  /// Mends them now and then, and keeps the statuses, until cancelled.
  func run() async {
    let (changes, changed) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    registry.subscribe(FlowSchema.self, initial: { _ in }, handler: { _ in changed.yield() })
    registry.subscribe(PriorityLevelConfiguration.self, initial: { _ in }, handler: { _ in changed.yield() })
    changed.yield()
    await withDiscardingTaskGroup { group in
      group.addTask {
        while !Task.isCancelled {
          try? await Task.sleep(for: Self.period)
          if Task.isCancelled { break }
          do { try await ensure() } catch {
            logger.debug("flow control defaults not kept", metadata: ["error": "\(error)"])
          }
        }
        changed.finish()
      }
      group.addTask { for await _ in changes { await report() } }
    }
  }

  private func ensure<T: APIObject & Equatable>(
    _ all: [T], _ mend: @Sendable @escaping (T, inout T) -> Void
  ) async throws {
    guard let resource = registry.resource(T.self) else { return }
    for wanted in all {
      let name = wanted.metadata.name
      let context = WriteContext(internal: resource, namespace: "", name: name)
      guard let present = registry.object(T.self, name: name) else {
        var new = wanted
        new.metadata.annotations[FlowControlDefaults.autoUpdate] = "true"
        do { _ = try await registry.create(context, .typed(new)) } catch let error as StatusError
          where error.isAlreadyExists
        {}
        continue
      }
      let isMandatory = FlowControlDefaults.mandatory.contains(name)
      guard isMandatory || present.metadata.annotations[FlowControlDefaults.autoUpdate] == "true" else { continue }
      var mended = present
      mend(wanted, &mended)
      mended.metadata.annotations[FlowControlDefaults.autoUpdate] = "true"
      guard mended != present else { continue }
      _ = try await registry.update(context, source: .patch) { cached in
        var live = try LiveObject(resource, cached: cached)
        live.with(T.self) { object in
          mend(wanted, &object)
          object.metadata.annotations[FlowControlDefaults.autoUpdate] = "true"
        }
        live.metadata.resourceVersion = ""
        return live
      }
    }
  }

  private func report() async {
    guard let resource = registry.resource(FlowSchema.self) else { return }
    for schema in registry.list(FlowSchema.self) {
      let level = goQuoted(schema.spec.priorityLevelConfiguration.name)
      let isDangling = control.isDangling(schema)
      let condition = FlowSchemaCondition {
        $0.type = "Dangling"
        $0.status = isDangling ? "True" : "False"
        $0.reason = isDangling ? "NotFound" : "Found"
        $0.message =
          isDangling
          ? "This FlowSchema references the PriorityLevelConfiguration object named \(level) but there is no such object"
          : "This FlowSchema references the PriorityLevelConfiguration object named \(level) and it exists"
      }
      if let present = schema.status.conditions.condition("Dangling"), present.status == condition.status,
        present.reason == condition.reason, present.message == condition.message
      {
        continue
      }
      let context = WriteContext(
        internal: resource, namespace: "", name: schema.metadata.name, subresource: "status")
      do {
        _ = try await registry.update(context, source: .patch) { cached in
          var live = try LiveObject(resource, cached: cached)
          let now = registry.now()
          live.with(FlowSchema.self) { _ = $0.status.conditions.set(condition, now: now) }
          live.metadata.resourceVersion = ""
          return live
        }
      } catch {
        logger.debug(
          "FlowSchema status not written", metadata: ["name": "\(schema.metadata.name)", "error": "\(error)"])
      }
    }
  }
}
