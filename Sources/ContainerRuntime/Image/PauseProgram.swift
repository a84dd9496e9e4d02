/// The program of the sandbox container, written out as a static ELF file, so that neither a compiler nor a download
/// is needed. It is the pod's first process: it keeps the pod's namespaces alive, buries orphans, and ends on SIGINT or
/// SIGTERM.
enum PauseProgram {
  /// The processor it is made for, as OCI names it.
  enum Architecture: String {
    case amd64
    case arm64

    static var host: Architecture {
      #if arch(arm64)
        .arm64
      #else
        .amd64
      #endif
    }
  }

  /// The executable file.
  static func executable(for architecture: Architecture = .host) -> [UInt8] {
    elf(machine: architecture == .amd64 ? 0x3e : 0xb7, code: architecture == .amd64 ? amd64 : arm64)
  }

  // Both programs do the same:
  //
  //   block SIGINT, SIGTERM and SIGCHLD (mask 0x14002); a blocked signal is queued even for the first process of a
  //     PID namespace, which otherwise never sees signals without a handler
  //   wait:  s = rt_sigtimedwait(mask, no info, for ever)
  //          s == SIGCHLD -> reap;  s < 0 -> wait;  else exit_group(0)
  //   reap:  wait4(-1, WNOHANG) until it returns nothing more, then -> wait

  private static let amd64: [UInt8] = [
    0x68, 0x02, 0x40, 0x01, 0x00,  // push 0x14002
    0x48, 0x89, 0xe6,  // mov rsi, rsp
    0x31, 0xff,  // xor edi, edi           SIG_BLOCK
    0x31, 0xd2,  // xor edx, edx
    0x6a, 0x08, 0x41, 0x5a,  // push 8; pop r10
    0x6a, 0x0e, 0x58,  // push 14; pop rax       rt_sigprocmask
    0x0f, 0x05,  // syscall
    0x48, 0x89, 0xe7,  // wait: mov rdi, rsp
    0x31, 0xf6,  // xor esi, esi
    0x31, 0xd2,  // xor edx, edx
    0x6a, 0x08, 0x41, 0x5a,  // push 8; pop r10
    0xb8, 0x80, 0x00, 0x00, 0x00,  // mov eax, 128           rt_sigtimedwait
    0x0f, 0x05,  // syscall
    0x83, 0xf8, 0x11,  // cmp eax, 17
    0x74, 0x0d,  // je reap
    0x85, 0xc0,  // test eax, eax
    0x78, 0xe5,  // js wait
    0x31, 0xff,  // xor edi, edi
    0xb8, 0xe7, 0x00, 0x00, 0x00,  // mov eax, 231           exit_group
    0x0f, 0x05,  // syscall
    0x6a, 0xff, 0x5f,  // reap: push -1; pop rdi
    0x31, 0xf6,  // xor esi, esi
    0x6a, 0x01, 0x5a,  // push 1; pop rdx        WNOHANG
    0x45, 0x31, 0xd2,  // xor r10d, r10d
    0x6a, 0x3d, 0x58,  // push 61; pop rax       wait4
    0x0f, 0x05,  // syscall
    0x85, 0xc0,  // test eax, eax
    0x7f, 0xec,  // jg reap
    0xeb, 0xc6,  // jmp wait
  ]

  private static let arm64: [UInt8] = [
    0x5288_0040, 0x72a0_0020, 0xf81f_0fe0,  // mov w0, #0x14002; str x0, [sp, #-16]!
    0xd280_0000, 0x9100_03e1, 0xd280_0002, 0xd280_0103,  // (SIG_BLOCK, sp, 0, 8)
    0xd280_10e8, 0xd400_0001,  // 135 rt_sigprocmask
    0x9100_03e0, 0xd280_0001, 0xd280_0002, 0xd280_0103,  // wait: (sp, 0, 0, 8)
    0xd280_1128, 0xd400_0001,  // 137 rt_sigtimedwait
    0x7100_441f, 0x5400_00a0,  // cmp w0, #17; b.eq reap
    0x37ff_ff00,  // tbnz w0, #31, wait
    0xd280_0000, 0xd280_0bc8, 0xd400_0001,  // 94 exit_group(0)
    0x9280_0000, 0xd280_0001, 0xd280_0022, 0xd280_0003,  // reap: (-1, 0, WNOHANG, 0)
    0xd280_2088, 0xd400_0001,  // 260 wait4
    0x7100_001f, 0x54ff_ff2c,  // cmp w0, #0; b.gt reap
    0x17ff_ffec,  // b wait
  ].flatMap { (word: UInt32) in littleEndian(word) }

  private static func elf(machine: UInt16, code: [UInt8]) -> [UInt8] {
    let base: UInt64 = 0x400000
    let headers: UInt64 = 64 + 56
    var file: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0] + [UInt8](repeating: 0, count: 8)
    file += littleEndian(UInt16(2)) + littleEndian(machine) + littleEndian(UInt32(1))
    file += littleEndian(base + headers)  // Entry.
    file += littleEndian(UInt64(64)) + littleEndian(UInt64(0)) + littleEndian(UInt32(0))
    for value: UInt16 in [64, 56, 1, 64, 0, 0] { file += littleEndian(value) }
    // One segment, loaded readable and executable.
    file += littleEndian(UInt32(1)) + littleEndian(UInt32(5)) + littleEndian(UInt64(0))
    file += littleEndian(base) + littleEndian(base)
    let size = headers + UInt64(code.count)
    file += littleEndian(size) + littleEndian(size) + littleEndian(UInt64(0x10000))
    return file + code
  }

  private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}
