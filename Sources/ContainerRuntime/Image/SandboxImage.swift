/// The image of the sandbox container, which holds a pod's namespaces.
public enum SandboxImage {
  /// Its name, as configured in the engine.
  public static let name = "localhost/apus-pause:1"

  /// The image as an OCI archive.
  public static func archive(name: String = SandboxImage.name) -> [UInt8] {
    var layer = ImageLayer()
    layer.file("pause", PauseProgram.executable(), mode: 0o755)
    var configuration = ImageConfiguration()
    configuration.entrypoint = ["/pause"]
    configuration.user = "65535:65535"
    return ImageArchive(name: name, configuration: configuration, layers: [layer]).encoded()
  }
}
