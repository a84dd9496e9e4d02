import API
import APIMachinery
import Logging

/// The shell around `ReflectorMachine`: sends its requests and applies what arrives to the cache.
struct Reflector<T: APIObject>: Sendable {
  let client: APIClient
  let path: String
  let listAccept: String
  let watchAccept: String
  let fieldSelector: String
  let labelSelector: String
  let strategy: ReflectorMachine.Strategy
  let cache: ObjectCache<T>
  let logger: Logger

  /// Runs until the task is cancelled.
  func run() async {
    var machine = ReflectorMachine(strategy: strategy)
    var todo = machine.begin
    while !Task.isCancelled {
      guard !todo.isEmpty else { return }
      let action = todo.removeFirst()
      switch action {
      case .wait(let seconds):
        do { try await Task.sleep(for: .seconds(seconds)) } catch { return }
      case .replace:
        break
      case .list(let version):
        let event = await list(resourceVersion: version)
        if Task.isCancelled { return }
        todo = machine.handle(event, jitter: .random(in: 0..<1))
      case .stream:
        todo = await watch(resourceVersion: "", initial: true, &machine)
      case .watch(let version):
        todo = await watch(resourceVersion: version, initial: false, &machine)
      }
    }
  }

  private var options: ListOptions {
    ListOptions(labelSelector: labelSelector, fieldSelector: fieldSelector)
  }

  private func list(resourceVersion: String) async -> ReflectorMachine.Event {
    do {
      var options = options
      options.resourceVersion = resourceVersion
      var items: [T] = []
      var version = ""
      while true {
        let page = try ListPage<T>.decode(try await client.raw("GET", path + options.query(), accept: listAccept))
        items += page.items
        version = page.resourceVersion
        if page.continueToken.isEmpty { break }
        options.`continue` = page.continueToken
        options.resourceVersion = ""
      }
      cache.replace(with: items)
      return .listed(resourceVersion: version)
    } catch {
      return .failed(classify(error, doing: "list"))
    }
  }

  private func watch(
    resourceVersion: String, initial: Bool, _ machine: inout ReflectorMachine
  ) async -> [ReflectorMachine.Action] {
    let started = ContinuousClock.now
    var count = 0
    var staged: [ObjectKey: T]? = initial ? [:] : nil
    do {
      var options = options
      options.resourceVersion = resourceVersion
      options.allowWatchBookmarks = true
      options.timeoutSeconds = Int64.random(in: 300...600)
      if initial {
        options.sendInitialEvents = true
        options.resourceVersionMatch = "NotOlderThan"
      }
      let events: AsyncThrowingStream<WatchEvent<T>, any Error> = try await client.watch(
        path: path, options: options, accept: watchAccept)
      for try await event in events {
        count += 1
        let seen: ReflectorMachine.Event
        switch event {
        case .added(let object), .modified(let object):
          if staged == nil { cache.put(object) } else { staged?[object.key] = object }
          seen = .changed(resourceVersion: object.metadata.resourceVersion)
        case .deleted(let object):
          if staged == nil { cache.remove(object) } else { staged?[object.key] = nil }
          seen = .changed(resourceVersion: object.metadata.resourceVersion)
        case .bookmark(let version, let end):
          seen = .bookmark(resourceVersion: version, initialEventsEnd: end)
        case .error(let status):
          throw status
        }
        if machine.handle(seen, jitter: 0).contains(.replace), let objects = staged {
          cache.replace(with: Array(objects.values))
          staged = nil
        }
      }
      if Task.isCancelled { return [] }
      let elapsed = ContinuousClock.now - started
      return machine.handle(
        .ended(events: count, seconds: Double(elapsed.components.seconds)), jitter: .random(in: 0..<1))
    } catch {
      if Task.isCancelled { return [] }
      let failure = classify(error, doing: "watch", initial: staged != nil)
      return machine.handle(.failed(failure), jitter: .random(in: 0..<1))
    }
  }

  private func classify(
    _ error: any Error, doing verb: String, initial: Bool = false
  ) -> ReflectorMachine.Failure {
    guard let status = error as? StatusError else {
      // A server that cannot be reached says so in its own log; an object that cannot be read says so nowhere else.
      let level: Logger.Level = error is JSONError ? .error : .debug
      if !Task.isCancelled { logger.log(level: level, "\(verb) of \(path) failed: \(error)") }
      return .other
    }
    switch status.code {
    case 410: return .expired
    case 504 where status.reason == "Timeout" && verb == "list": return .expired
    case 400, 405, 422: return initial ? .unsupported : .other
    default:
      logger.warning("\(verb) of \(path) failed: \(status.message)")
      return .other
    }
  }
}
