/// Calls a function `count` times in batches of 1, 2, 4, …, each batch at once, stopping after the first batch in
/// which a call failed: a broken quota or webhook costs one request, not a thousand. Returns how many succeeded.
func slowStart(
  count: Int, initial: Int = 1, _ body: @escaping @Sendable (Int) async throws -> Void
) async -> (succeeded: Int, error: (any Error)?) {
  var done = 0
  var batch = min(count, initial)
  while batch > 0 {
    let first = done
    let size = batch
    let errors = await withTaskGroup(of: (any Error)?.self) { group in
      for index in first..<(first + size) {
        group.addTask {
          do {
            try await body(index)
            return nil
          } catch {
            return error
          }
        }
      }
      var errors: [any Error] = []
      for await error in group { if let error { errors.append(error) } }
      return errors
    }
    done += size - errors.count
    if let error = errors.first { return (done, error) }
    batch = min(2 * batch, count - done)
  }
  return (done, nil)
}
