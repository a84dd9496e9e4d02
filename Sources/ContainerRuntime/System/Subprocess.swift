import Glibc
import Linux

/// Starts programs. Nothing on a hot path does.
enum Subprocess {
  struct Result {
    var status: Int32
    var output: [UInt8]
  }

  /// Runs a program to its end and returns what it wrote to its standard output. Blocks.
  static func run(_ arguments: [String]) throws(SystemError) -> Result {
    var pipeEnds: [Int32] = [0, 0]
    guard pipe(&pipeEnds) == 0 else { throw SystemError("pipe") }
    for end in pipeEnds { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    defer { close(pipeEnds[0]) }
    let pid: pid_t
    do {
      pid = try spawn(arguments, output: pipeEnds[1], error: nil, newSession: false)
    } catch {
      close(pipeEnds[1])
      throw error
    }
    close(pipeEnds[1])
    var output: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 * 1024)
    while true {
      let count = read(pipeEnds[0], &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { break }
      output += chunk[..<count]
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    return Result(status: status, output: output)
  }

  /// Starts a program whose output goes to the end of a file, in a session of its own so that it outlives this
  /// process and none of its terminal's signals reach it.
  static func launch(_ arguments: [String], log: String, environment: [String]) throws(SystemError) -> pid_t {
    let descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else { throw SystemError("open \(log)") }
    defer { close(descriptor) }
    return try spawn(
      arguments, output: descriptor, error: descriptor, newSession: true, environment: environment)
  }

  private static func spawn(
    _ arguments: [String], output: Int32, error: Int32?, newSession: Bool, environment: [String]? = nil
  ) throws(SystemError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    if let error {
      posix_spawn_file_actions_adddup2(&actions, error, 2)
    } else {
      posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    }
    // Whatever else is open here must not stay open there.
    _ = addCloseFrom(&actions, 3)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    let setSession: Int32 = 0x80  // POSIX_SPAWN_SETSID, hidden behind _GNU_SOURCE.
    var flags = Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
    if newSession { flags |= setSession }
    posix_spawnattr_setflags(&attributes, Int16(flags))

    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = (environment ?? currentEnvironment()).map { strdup($0) } + [nil]
    defer {
      for pointer in argv + envp { free(pointer) }
    }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, arguments[0], &actions, &attributes, &argv, &envp)
    guard code == 0 else { throw SystemError("start \(arguments[0])", number: code) }
    return pid
  }

  static func currentEnvironment() -> [String] {
    var out: [String] = []
    var pointer = environ
    while let entry = pointer.pointee {
      out.append(String(cString: entry))
      pointer += 1
    }
    return out
  }
}

/// Declared only with _GNU_SOURCE, which the Glibc module is built without; in the C library since 2.34.
@_silgen_name("posix_spawn_file_actions_addclosefrom_np")
private func addCloseFrom(_ actions: UnsafeMutablePointer<posix_spawn_file_actions_t>, _ from: Int32) -> Int32
