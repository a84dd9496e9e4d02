/// containerd's config.toml. Version 2 of the format is read by 1.4 and everything after it.
struct ContainerdConfigurationFile {
  let configuration: ContainerRuntimeConfiguration
  let binaries: EngineBinaries
  let machine: Machine
  let usesSystemdCgroups: Bool

  func text() -> String {
    let cri = #"plugins."io.containerd.grpc.v1.cri""#
    return """
      # Written at every start; changes are lost.
      version = 2
      root = \(quote(configuration.root))
      state = \(quote(configuration.state))
      oom_score = \(machine.canLowerOOMScore ? -999 : 0)
      disabled_plugins = [
        "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
        "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
      ]

      [grpc]
        address = \(quote(configuration.socketPath))

      [debug]
        level = \(quote(configuration.logLevel))

      [plugins."io.containerd.internal.v1.opt"]
        path = \(quote(configuration.root + "/opt"))

      [\(cri)]
        sandbox_image = \(quote(configuration.sandboxImage))
        stream_server_address = "127.0.0.1"
        stream_server_port = "0"
        disable_apparmor = \(!machine.hasAppArmor)
        restrict_oom_score_adj = \(!machine.canLowerOOMScore)
        tolerate_missing_hugetlb_controller = true
        disable_hugetlb_controller = \(!machine.hasHugeTLB)
        enable_unprivileged_ports = true
        enable_unprivileged_icmp = true

        [\(cri).containerd]
          snapshotter = "\(machine.hasOverlay ? "overlayfs" : "native")"
          default_runtime_name = \(quote(binaries.runtimeName))
          discard_unpacked_layers = false

          [\(cri).containerd.runtimes.\(binaries.runtimeName)]
            runtime_type = "io.containerd.runc.v2"

            [\(cri).containerd.runtimes.\(binaries.runtimeName).options]
              BinaryName = \(quote(binaries.runtime))
              SystemdCgroup = \(usesSystemdCgroups)

        [\(cri).cni]
          bin_dir = \(quote(binaries.cniPlugins ?? "/opt/cni/bin"))
          conf_dir = \(quote(configuration.cniConfigurationDirectory))
          max_conf_num = 1

        [\(cri).registry]
          config_path = \(quote(configuration.registryConfigurationDirectory))

      """
  }

  private func quote(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      default:
        if scalar.value < 0x20 {
          let hex = String(scalar.value, radix: 16)
          out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
        } else {
          out.unicodeScalars.append(scalar)
        }
      }
    }
    return out + "\""
  }
}
