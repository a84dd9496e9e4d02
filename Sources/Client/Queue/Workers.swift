import APIMachinery
public import Logging

/// What a reconcile asks for when it did not fail.
public enum ReconcileResult: Sendable, Equatable {
  /// Nothing: the next change will bring the item back.
  case done
  /// The item again, after its back-off.
  case requeue
  /// The item again, after a fixed time.
  case after(Duration)
}

/// Runs `count` workers over a queue until the task is cancelled or the queue shut down. An item whose reconcile
/// throws comes back after its back-off; one that succeeds starts afresh.
public func runWorkers<Item: Hashable & Sendable>(
  _ queue: WorkQueue<Item>, count: Int, logger: Logger? = nil,
  reconcile: @escaping @Sendable (Item) async throws -> ReconcileResult
) async {
  await withTaskCancellationHandler {
    await withDiscardingTaskGroup { group in
      for _ in 0..<count {
        group.addTask {
          while let item = await queue.get() {
            await work(on: item, from: queue, logger: logger, reconcile: reconcile)
          }
        }
      }
    }
  } onCancel: {
    queue.shutDown()
  }
}

private func work<Item: Hashable & Sendable>(
  on item: Item, from queue: WorkQueue<Item>, logger: Logger?,
  reconcile: @Sendable (Item) async throws -> ReconcileResult
) async {
  do {
    switch try await reconcile(item) {
    case .done:
      queue.forget(item)
    case .requeue:
      queue.addRateLimited(item)
    case .after(let delay):
      queue.forget(item)
      queue.add(item, after: delay)
    }
  } catch is CancellationError {
    // Shutting down; the next start begins from the state of the world.
  } catch {
    // Losing a race is everyday life; everything else somebody may have to look at.
    let isRace = (error as? StatusError)?.isConflict ?? false
    logger?.log(level: isRace ? .debug : .warning, "\(queue.name): \(item): \(error)")
    queue.addRateLimited(item)
  }
  queue.done(item)
}
