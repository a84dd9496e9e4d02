import ArgumentParser
import ContainerRuntime
import Logging
import PKI

/// Images without a registry.
struct ImageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "image", abstract: "Bring images to the node without a registry.",
    subcommands: [Import.self, BuildBusybox.self])

  struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "import", abstract: "Load OCI or Docker archives (tar, plain or gzip) into the node's image store.")

    @OptionGroup var directories: Directories

    @Argument(help: "Archives to load.")
    var files: [String]

    func run() async throws {
      let supervisor = ContainerdSupervisor(
        configuration: directories.containerRuntime, logger: Logger(label: "image"))
      for file in files {
        for name in try await supervisor.importer.importArchive(file) { print("imported \(name)") }
      }
    }
  }

  struct BuildBusybox: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "build-busybox",
      abstract: "Make a small image out of this machine's static busybox, for trying things out.")

    @Option(help: "The image's name.")
    var name = "apus.local/busybox:1"

    @Option(help: "The static busybox to use.")
    var busybox = "/bin/busybox"

    @Option(help: "The archive to write.")
    var output: String

    func run() throws {
      try AtomicFile.write(try BusyboxImage.archive(name: name, busybox: busybox), to: output, mode: 0o644)
    }
  }
}
