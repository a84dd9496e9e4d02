import Foundation
import Logging
import Testing

@testable import ContainerRuntime

/// A directory that is gone when the test ends.
func withDirectory<Value>(_ body: (String) async throws -> Value) async throws -> Value {
  let path = FileManager.default.temporaryDirectory.path + "/apus-\(UInt32.random(in: 0 ... .max))"
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try await body(path)
}

/// Makes files below a directory.
func plant(_ files: [String: String], in root: String) throws {
  for (path, content) in files {
    let url = URL(fileURLWithPath: root + path)
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try content.write(to: url, atomically: false, encoding: .utf8)
  }
}

@Suite struct MachineTests {
  @Test func seesAUnifiedSystemdMachine() async throws {
    try await withDirectory { root in
      try plant(
        [
          "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
          "/run/systemd/system/x": "", "/sys/module/apparmor/parameters/enabled": "Y\n", "/sbin/apparmor_parser": "",
          "/proc/self/status": "Name:\tx\nCapEff:\t000001ffffffffff\n",
          "/proc/self/uid_map": "         0          0 4294967295\n", "/proc/sys/kernel/osrelease": "6.1.0\n",
          "/proc/filesystems": "nodev\tsysfs\nnodev\toverlay\n\text4\n",
        ], in: root)
      let machine = Machine.detect(root: root)
      #expect(machine.cgroups == .v2)
      #expect(machine.hasSystemd && machine.hasAppArmor && machine.canLowerOOMScore && machine.hasHugeTLB)
      #expect(machine.hasOverlay && !machine.hasBridgeNetfilter)
      #expect(machine.kernel == "6.1.0")
    }
  }

  @Test func seesAHybridMachineWithFewRights() async throws {
    try await withDirectory { root in
      try plant(
        [
          "/sys/fs/cgroup/memory/tasks": "", "/sys/fs/cgroup/unified/cgroup.controllers": "hugetlb\n",
          "/sys/module/apparmor/parameters/enabled": "N\n",
          "/proc/self/status": "CapEff:\t000001fffeffffff\n", "/proc/self/uid_map": "0 0 4294967295\n",
        ], in: root)
      let machine = Machine.detect(root: root)
      #expect(machine.cgroups == .hybrid)
      #expect(!machine.canLowerOOMScore && !machine.hasAppArmor && !machine.hasSystemd && !machine.hasHugeTLB)
    }
  }

  @Test func userNamespacesCannotLowerTheScore() async throws {
    try await withDirectory { root in
      try plant(
        ["/proc/self/status": "CapEff:\t000001ffffffffff\n", "/proc/self/uid_map": "0 100000 65536\n"], in: root)
      #expect(!Machine.detect(root: root).canLowerOOMScore)
      #expect(Machine.detect(root: root).cgroups == .v1)
    }
  }
}

@Suite struct ConfigurationTests {
  private let binaries = EngineBinaries(
    containerd: "/usr/bin/containerd", runtime: "/usr/sbin/runc", cniPlugins: "/usr/lib/cni", servesHostPorts: true)

  private func machine(_ change: (inout Machine) -> Void = { _ in }) -> Machine {
    var machine = Machine(
      cgroups: .v2, hasSystemd: true, hasAppArmor: true, canLowerOOMScore: true, hasHugeTLB: true, kernel: "6",
      hasBridgeNetfilter: true, hasOverlay: true)
    change(&machine)
    return machine
  }

  @Test func followsTheMachine() {
    let configuration = ContainerRuntimeConfiguration(dataDirectory: "/d \"q\"", stateDirectory: "/s")
    let full = ContainerdConfigurationFile(
      configuration: configuration, binaries: binaries, machine: machine(), usesSystemdCgroups: true
    ).text()
    #expect(full.contains("root = \"/d \\\"q\\\"/containerd\"\n"))
    #expect(full.contains("SystemdCgroup = true") && full.contains("oom_score = -999"))
    #expect(full.contains("disable_apparmor = false") && full.contains("restrict_oom_score_adj = false"))
    #expect(full.contains("BinaryName = \"/usr/sbin/runc\"") && full.contains("snapshotter = \"overlayfs\""))
    let poor = ContainerdConfigurationFile(
      configuration: configuration, binaries: binaries,
      machine: machine {
        $0.hasAppArmor = false
        $0.canLowerOOMScore = false
        $0.hasOverlay = false
      }, usesSystemdCgroups: false
    ).text()
    #expect(poor.contains("SystemdCgroup = false") && poor.contains("oom_score = 0"))
    #expect(poor.contains("disable_apparmor = true") && poor.contains("restrict_oom_score_adj = true"))
    #expect(poor.contains("snapshotter = \"native\""))
  }

  @Test func podNetworkHasARangePerFamily() throws {
    let bytes = CNIConfiguration(
      bridge: "cni0", podCIDRs: ["10.244.0.0/24", "fd00::/64"], addressDirectory: "/run/a", servesHostPorts: false
    ).encoded()
    let object = try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    let plugins = try #require(object["plugins"] as? [[String: Any]])
    #expect(plugins.count == 1)
    #expect(plugins[0]["ipMasq"] as? Bool == false)
    let ranges = (plugins[0]["ipam"] as? [String: Any])?["ranges"] as? [[[String: String]]]
    #expect(ranges == [[["subnet": "10.244.0.0/24"]], [["subnet": "fd00::/64"]]])
  }

  @Test func foreignNetworksAreLeftAlone() async throws {
    try await withDirectory { root in
      var configuration = ContainerRuntimeConfiguration(dataDirectory: root, stateDirectory: root)
      configuration.cniConfigurationDirectory = root + "/net.d"
      try plant(["/net.d/10-calico.conflist": "{}"], in: root)
      #expect(CNIConfiguration.foreign(in: configuration.cniConfigurationDirectory) == "10-calico.conflist")
      let supervisor = ContainerdSupervisor(configuration: configuration, logger: .init(label: "test"))
      #expect(try await !supervisor.setPodCIDRs(["10.0.0.0/24"]))
      #expect(FileSystem.list(root + "/net.d") == ["10-calico.conflist"])
    }
  }

  @Test func missingProgramsAreNamed() async throws {
    try await withDirectory { root in
      let error = #expect(throws: EngineError.self) { try EngineBinaries.find(path: [root]) }
      #expect(error?.description.hasPrefix("containerd is not installed") == true)
    }
  }
}

@Suite struct MountsTests {
  @Test func findsMountsInnermostFirst() {
    let table = """
      22 1 8:1 / / rw - ext4 /dev/x rw
      30 22 0:20 / /run/a rw - tmpfs t rw
      31 30 0:21 / /run/a/b rw - tmpfs t rw
      32 31 0:22 / /run/a/b/c\\040d rw - tmpfs t rw
      33 22 0:23 / /run/ab rw - tmpfs t rw
      """
    #expect(Mounts.below("/run/a", table: table) == ["/run/a/b/c d", "/run/a/b"])
  }
}
