/// Calls a function `count` times, a few at a time: more at once would only wait in the server's queues, or be turned
/// away there. Returns what failed.
func inParallel(
  count: Int, limit: Int = 32, _ body: @escaping @Sendable (Int) async throws -> Void
) async -> [any Error] {
  await withTaskGroup(of: (any Error)?.self) { group in
    func add(_ index: Int) {
      group.addTask {
        do {
          try await body(index)
          return nil
        } catch {
          return error
        }
      }
    }
    for index in 0..<min(count, limit) { add(index) }
    var next = limit
    var errors: [any Error] = []
    for await error in group {
      if let error { errors.append(error) }
      if next < count {
        add(next)
        next += 1
      }
    }
    return errors
  }
}

/// Calls a function `count` times in batches of 1, 2, 4, …, stopping after the first batch in which a call failed: a
/// broken quota or webhook costs one request, not a thousand. Returns how many succeeded.
func slowStart(
  count: Int, initial: Int = 1, _ body: @escaping @Sendable (Int) async throws -> Void
) async -> (succeeded: Int, error: (any Error)?) {
  var done = 0
  var batch = min(count, initial)
  while batch > 0 {
    let first = done
    let errors = await inParallel(count: batch) { try await body(first + $0) }
    done += batch - errors.count
    if let error = errors.first { return (done, error) }
    batch = min(2 * batch, count - done)
  }
  return (done, nil)
}
