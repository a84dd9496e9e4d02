import Logging

/// Reads a file, or several that belong together, again when they change, and has what is in it taken over.
struct FileFollower: Sendable {
  private let read: @Sendable () -> [UInt8]?
  let what: String
  let interval: Duration
  let logger: Logger
  /// What has been taken over already.
  let current: [UInt8]?
  /// Throws why the new text is not taken; what was there stays.
  let take: @Sendable ([UInt8]) throws -> Void

  init(
    _ path: String, _ what: String, current: [UInt8]?, logger: Logger,
    take: @escaping @Sendable ([UInt8]) throws -> Void
  ) {
    self.init(what, current: current, logger: logger, read: { readWholeFile(path) }, take: take)
  }

  init(
    _ what: String, current: [UInt8]?, every interval: Duration = .seconds(1), logger: Logger,
    read: @escaping @Sendable () -> [UInt8]?, take: @escaping @Sendable ([UInt8]) throws -> Void
  ) {
    self.read = read
    self.what = what
    self.current = current
    self.interval = interval
    self.logger = logger
    self.take = take
  }

  func run() async {
    var last = current
    while (try? await Task.sleep(for: interval)) != nil {
      guard let text = read(), text != last else { continue }
      last = text
      do {
        try take(text)
        logger.notice("\(what) reloaded")
      } catch { logger.error("\(what) not reloaded: \(error)") }
    }
  }
}
