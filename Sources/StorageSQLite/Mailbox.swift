internal import Glibc

/// A queue that one thread empties and anybody fills.
///
/// `@unchecked Sendable`: every access to the queue happens between lock and unlock of the pthread mutex, which
/// `Synchronization.Mutex` cannot replace because it has no condition variable.
final class Mailbox<Message: Sendable>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var queue: [Message] = []
  private var head = 0
  private var waiting = false
  private var closed = false

  init() {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// False when the mailbox is closed; the message was not taken then.
  func send(_ message: Message) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard !closed else { return false }
    queue.append(message)
    if waiting {
      waiting = false
      pthread_cond_signal(condition)
    }
    return true
  }

  /// What is queued, in order, at most `limit` messages and about `bytes` by `size`. Waits for the first one, at
  /// most `timeout` milliseconds (nil: as long as it takes).
  func receive(limit: Int, bytes: Int = .max, timeout: Int64?, size: (Message) -> Int = { _ in 0 }) -> [Message] {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    if head == queue.count, timeout.map({ $0 > 0 }) ?? true { wait(timeout) }
    guard head < queue.count else { return [] }
    var end = head
    var total = 0
    while end < queue.count, end - head < limit {
      total += size(queue[end])
      // One message always goes, however large.
      if total > bytes, end > head { break }
      end += 1
    }
    if head == 0, end == queue.count {
      var all: [Message] = []
      swap(&all, &queue)
      return all
    }
    let taken = Array(queue[head..<end])
    head = end
    if head == queue.count {
      queue = []
      head = 0
    } else if head >= 4096 {
      queue.removeFirst(head)
      head = 0
    }
    return taken
  }

  /// Refuses all further messages and returns those nobody received.
  func close() -> [Message] {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    closed = true
    let rest = Array(queue[head...])
    queue = []
    head = 0
    return rest
  }

  private func wait(_ timeout: Int64?) {
    var deadline = timespec()
    if let timeout {
      clock_gettime(CLOCK_MONOTONIC, &deadline)
      let nanoseconds = Int64(deadline.tv_nsec) + (timeout % 1000) * 1_000_000
      deadline.tv_sec += Int(timeout / 1000 + nanoseconds / 1_000_000_000)
      deadline.tv_nsec = Int(nanoseconds % 1_000_000_000)
    }
    while head == queue.count, !closed {
      waiting = true
      if timeout == nil {
        pthread_cond_wait(condition, mutex)
      } else if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT {
        break
      }
    }
    waiting = false
  }
}

/// Starts a detached thread of its own: SQLite blocks, and Swift's pool of threads must not.
func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) throws(ThreadError) {
  final class Body {
    let name: String
    let run: @Sendable () -> Void
    init(name: String, run: @escaping @Sendable () -> Void) {
      self.name = name
      self.run = run
    }
  }
  let box = Unmanaged.passRetained(Body(name: name, run: body))
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  pthread_attr_setstacksize(&attributes, 1 << 20)
  var thread = pthread_t()
  let code = pthread_create(
    &thread, &attributes,
    { argument in
      guard let argument else { return nil }
      let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
      nameThread(body.name)
      body.run()
      return nil
    }, box.toOpaque())
  if code != 0 {
    box.release()
    throw ThreadError(code: code)
  }
}

/// Names the calling thread, for whoever looks at the process.
private func nameThread(_ name: String) {
  let descriptor = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return }
  _ = write(descriptor, name, name.utf8.count)
  close(descriptor)
}

/// A thread could not be made.
struct ThreadError: Error {
  var code: Int32
}
