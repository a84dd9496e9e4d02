import Glibc

/// An image made from the machine's static busybox: enough of a system for tests and examples without a registry.
public enum BusyboxImage {
  /// The image as an OCI archive. `applets` are the names busybox goes by (the lines of `busybox --list`).
  public static func archive(
    name: String = "docker.io/library/busybox:latest", busybox: String = "/bin/busybox", applets: [String]? = nil,
    files: [String: [UInt8]] = [:], command: [String] = ["sh"]
  ) throws -> [UInt8] {
    let program = try FileSystem.read(busybox)
    let names = try applets ?? list(busybox)
    var layer = ImageLayer()
    for directory in ["bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "usr/sbin", "var"] {
      layer.directory(directory)
    }
    layer.directory("tmp", mode: 0o1777)
    layer.directory("var/tmp", mode: 0o1777)
    layer.symbolicLink("var/run", to: "/run")
    layer.directory("run")
    layer.symbolicLink("sbin", to: "bin")
    layer.file("bin/busybox", program, mode: 0o755)
    for name in names where name != "busybox" { layer.hardLink("bin/\(name)", to: "bin/busybox") }
    layer.symbolicLink("usr/bin/env", to: "/bin/env")
    let passwd = """
      root:x:0:0:root:/root:/bin/sh
      daemon:x:1:1:daemon:/usr/sbin:/bin/false
      nobody:x:65534:65534:nobody:/home:/bin/false

      """
    layer.file("etc/passwd", Array(passwd.utf8))
    layer.file("etc/group", Array("root:x:0:\ndaemon:x:1:\ntty:x:5:\nnogroup:x:65534:\n".utf8))
    for (path, content) in files.sorted(by: { $0.key < $1.key }) { layer.file(path, content, mode: 0o755) }
    var configuration = ImageConfiguration()
    configuration.command = command
    return ImageArchive(name: name, configuration: configuration, layers: [layer]).encoded()
  }

  private static func list(_ busybox: String) throws -> [String] {
    let result = try Subprocess.run([busybox, "--list"])
    return String(decoding: result.output, as: UTF8.self).split(separator: "\n").map(String.init)
  }
}
