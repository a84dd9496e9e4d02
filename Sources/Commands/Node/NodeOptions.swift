import ArgumentParser

/// What `apus server` and `apus agent` can be told about their node.
struct NodeOptions: ParsableArguments {
  @Option(help: "The control group below which pods' groups are made.")
  var cgroupRoot = "/"

  func validate() throws {
    if !cgroupRoot.hasPrefix("/") { throw ValidationError("--cgroup-root must begin with /") }
  }

  /// The group that holds the groups of all pods.
  var podsCgroup: String {
    let root = cgroupRoot.hasSuffix("/") ? String(cgroupRoot.dropLast()) : cgroupRoot
    return "\(root)/kubepods"
  }
}
