/// Calls a function, waits, and calls it again until the task is cancelled. A pass that failed is told and the next
/// one comes at its time all the same.
func every(
  _ period: Duration, failed: @Sendable (any Error) -> Void, _ body: @Sendable () async throws -> Void
) async throws {
  while true {
    do {
      try await body()
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      failed(error)
    }
    try await Task.sleep(for: period)
  }
}
