internal import Glibc

/// Lets a thread wait for one answer of another.
///
/// `@unchecked Sendable`: `result` is written before the semaphore is raised and read after it was taken.
final class Latch: @unchecked Sendable {
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  private var result = false

  init() {
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func open(_ result: Bool) {
    self.result = result
    sem_post(semaphore)
  }

  func wait() -> Bool {
    while sem_wait(semaphore) != 0 {}
    return result
  }
}
