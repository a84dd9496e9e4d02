import API
import CRI
import Synchronization

/// Why a container could not be started: the reason and message its status shows.
struct StartError: Error, Sendable, Equatable, CustomStringConvertible {
  var reason: String
  var message: String
  var description: String { message }
}

/// Makes sure that images are there before containers start.
final class ImagePuller: Sendable {
  private struct State {
    var backOff = BackOff()
    /// The last failure by pod and image, shown again while the next try waits.
    var failures: [String: String] = [:]
  }

  private let engine: any ContainerEngine
  private let events: PodEvents
  private let clock: @Sendable () -> ContinuousTime
  private let state = Mutex(State())
  private let gate: AsyncGate?

  init(
    engine: any ContainerEngine, events: PodEvents, serialize: Bool, clock: @escaping @Sendable () -> ContinuousTime
  ) {
    self.engine = engine
    self.events = events
    self.clock = clock
    gate = serialize ? AsyncGate() : nil
  }

  /// The image, pulled if the policy says so. Throws `StartError`.
  func ensure(_ pod: Pod, _ container: Container, sandbox: CRIPodSandboxConfig, secrets: [Secret]) async throws
    -> CRIImage
  {
    guard let name = ImageNames.withDefaultTag(container.image) else {
      let message =
        "Failed to apply default image tag \"\(container.image)\": couldn't parse image name \"\(container.image)\": invalid reference format"
      events.container(pod, container, "Warning", "InspectFailed", message)
      throw StartError(reason: "InvalidImageName", message: message)
    }
    var spec = CRIImageSpec()
    spec.image = name
    spec.annotations = pod.metadata.annotations
    let present: CRIImage?
    do {
      present = try await engine.imageStatus(spec)
    } catch {
      let message = "Failed to inspect image \"\(container.image)\": \(describe(error))"
      events.container(pod, container, "Warning", "InspectFailed", message)
      throw StartError(reason: "ImageInspectError", message: message)
    }
    let policy =
      container.imagePullPolicy.isEmpty ? ImageNames.defaultPolicy(container.image) : container.imagePullPolicy
    if let present, policy != "Always" {
      events.container(
        pod, container, "Normal", "Pulled",
        "Container image \"\(container.image)\" already present on machine and can be accessed by the pod")
      return present
    }
    if policy == "Never" {
      let message = "Container image \"\(container.image)\" is not present with pull policy of Never"
      events.container(pod, container, "Warning", "ErrImageNeverPull", message)
      throw StartError(reason: "ErrImageNeverPull", message: message)
    }
    return try await pull(pod, container, spec, sandbox, secrets)
  }

  private func pull(
    _ pod: Pod, _ container: Container, _ spec: CRIImageSpec, _ sandbox: CRIPodSandboxConfig, _ secrets: [Secret]
  ) async throws -> CRIImage {
    let key = "\(pod.metadata.uid)_\(container.image)"
    let now = clock()
    let waiting = state.withLock { s -> String?? in
      s.backOff.isWaitingSinceUpdate(key, now: now) ? .some(s.failures[key]) : nil
    }
    if let last = waiting {
      let text = "Back-off pulling image \"\(container.image)\""
      events.container(pod, container, "Normal", "BackOff", text)
      throw StartError(reason: "ImagePullBackOff", message: last.map { "\(text): ErrImagePull: \($0)" } ?? text)
    }
    events.container(pod, container, "Normal", "Pulling", "Pulling image \"\(container.image)\"")
    await gate?.enter()
    let begun = clock()
    var failure: (any Error)?
    var pulled: CRIImage?
    // Each credential gets its try; without any, one anonymous try.
    for auth in Credentials.matching(spec.image, secrets) {
      var request = CRIPullImageRequest()
      request.image = spec
      request.sandboxConfig = sandbox
      if let auth { request.auth = auth }
      do {
        let reference = try await engine.pullImage(request)
        var wanted = spec
        wanted.image = reference
        if let found = try? await engine.imageStatus(wanted) {
          pulled = found
        } else {
          pulled = try await engine.imageStatus(spec)
        }
        failure = nil
        break
      } catch {
        failure = error
      }
    }
    await gate?.leave()
    if let failure {
      if failure is CancellationError { throw failure }
      let text = describe(failure)
      let after = clock()
      state.withLock { s in
        s.backOff.next(key, at: after, now: after)
        s.failures[key] = text
      }
      events.container(
        pod, container, "Warning", "Failed", "Failed to pull image \"\(container.image)\": \(text)")
      throw StartError(reason: "ErrImagePull", message: text)
    }
    guard let image = pulled else {
      throw StartError(reason: "ErrImagePull", message: "image \(container.image) is not there after its pull")
    }
    let done = clock()
    let took = Self.rounded(begun.duration(to: done))
    let total = Self.rounded(now.duration(to: done))
    events.container(
      pod, container, "Normal", "Pulled",
      "Successfully pulled image \"\(container.image)\" in \(took) (\(total) including waiting). Image size: \(image.size) bytes."
    )
    state.withLock { s in
      s.failures[key] = nil
      s.backOff.collect(now: done)
    }
    return image
  }

  /// To the millisecond, as Go's `Truncate` leaves it.
  private static func rounded(_ duration: Duration) -> String {
    let nanoseconds = duration.wholeNanoseconds
    return GoDuration(nanoseconds: nanoseconds - nanoseconds % 1_000_000).description
  }
}

/// Lets one in at a time, in order.
actor AsyncGate {
  private var busy = false
  private var waiters: [CheckedContinuation<Void, Never>] = []

  func enter() async {
    if !busy {
      busy = true
      return
    }
    await withCheckedContinuation { waiters.append($0) }
  }

  func leave() {
    if waiters.isEmpty { busy = false } else { waiters.removeFirst().resume() }
  }
}
