public import CRI

/// What the kubelet asks of a container runtime: the RPCs of CRI that it uses.
///
/// A protocol so that tests can put an engine of their own in its place.
public protocol ContainerEngine: Sendable {
  func version() async throws -> CRIVersionResponse
  func status() async throws -> CRIStatusResponse
  func runPodSandbox(_ request: CRIRunPodSandboxRequest) async throws -> String
  func stopPodSandbox(_ id: String) async throws
  func removePodSandbox(_ id: String) async throws
  func podSandboxStatus(_ id: String) async throws -> CRIPodSandboxStatus
  func listPodSandboxes(_ filter: CRIPodSandboxFilter) async throws -> [CRIPodSandbox]
  func createContainer(_ request: CRICreateContainerRequest) async throws -> String
  func startContainer(_ id: String) async throws
  /// Waits at most `graceSeconds` for the container to end, then kills it.
  func stopContainer(_ id: String, graceSeconds: Int64) async throws
  func removeContainer(_ id: String) async throws
  func listContainers(_ filter: CRIContainerFilter) async throws -> [CRIContainer]
  func containerStatus(_ id: String) async throws -> CRIContainerStatus
  func reopenContainerLog(_ id: String) async throws
  func execSync(_ id: String, _ command: [String], timeoutSeconds: Int64) async throws -> CRIExecSyncResponse
  func exec(_ request: CRIExecRequest) async throws -> String
  func attach(_ request: CRIAttachRequest) async throws -> String
  func portForward(_ request: CRIPortForwardRequest) async throws -> String
  func listContainerStats() async throws -> [CRIContainerStats]
  func updateRuntimeConfig(podCIDR: String) async throws
  func listImages() async throws -> [CRIImage]
  /// Nil when the image is not there.
  func imageStatus(_ image: CRIImageSpec) async throws -> CRIImage?
  func pullImage(_ request: CRIPullImageRequest) async throws -> String
  func removeImage(_ image: CRIImageSpec) async throws
  func imageFileSystems() async throws -> [CRIFilesystemUsage]
}
