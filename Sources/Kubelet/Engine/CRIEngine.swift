public import CRI

/// The container runtime behind a CRI socket.
public struct CRIEngine: ContainerEngine {
  private let runtime: RuntimeService
  private let images: ImageService
  private let timeout: Duration

  /// Both halves of CRI; they may share a channel.
  public init(runtime: RuntimeService, images: ImageService, timeout: Duration = .seconds(120)) {
    self.runtime = runtime
    self.images = images
    self.timeout = timeout
  }

  public func version() async throws -> CRIVersionResponse { try await runtime.version(timeout: timeout) }

  public func status() async throws -> CRIStatusResponse { try await runtime.status(timeout: timeout) }

  public func runPodSandbox(_ request: CRIRunPodSandboxRequest) async throws -> String {
    // Setting up a sandbox may pull its image: twice the usual patience, as upstream.
    try await runtime.runPodSandbox(request, timeout: timeout * 2).podSandboxID
  }

  public func stopPodSandbox(_ id: String) async throws {
    var request = CRIStopPodSandboxRequest()
    request.podSandboxID = id
    _ = try await runtime.stopPodSandbox(request, timeout: timeout)
  }

  public func removePodSandbox(_ id: String) async throws {
    var request = CRIRemovePodSandboxRequest()
    request.podSandboxID = id
    _ = try await runtime.removePodSandbox(request, timeout: timeout)
  }

  public func podSandboxStatus(_ id: String) async throws -> CRIPodSandboxStatus {
    var request = CRIPodSandboxStatusRequest()
    request.podSandboxID = id
    return try await runtime.podSandboxStatus(request, timeout: timeout).status
  }

  public func listPodSandboxes(_ filter: CRIPodSandboxFilter) async throws -> [CRIPodSandbox] {
    var request = CRIListPodSandboxRequest()
    request.filter = filter
    return try await runtime.listPodSandbox(request, timeout: timeout).items
  }

  public func createContainer(_ request: CRICreateContainerRequest) async throws -> String {
    try await runtime.createContainer(request, timeout: timeout).containerID
  }

  public func startContainer(_ id: String) async throws {
    var request = CRIStartContainerRequest()
    request.containerID = id
    _ = try await runtime.startContainer(request, timeout: timeout)
  }

  public func stopContainer(_ id: String, graceSeconds: Int64) async throws {
    var request = CRIStopContainerRequest()
    request.containerID = id
    request.timeout = graceSeconds
    _ = try await runtime.stopContainer(request, timeout: timeout + .seconds(graceSeconds))
  }

  public func removeContainer(_ id: String) async throws {
    var request = CRIRemoveContainerRequest()
    request.containerID = id
    _ = try await runtime.removeContainer(request, timeout: timeout)
  }

  public func listContainers(_ filter: CRIContainerFilter) async throws -> [CRIContainer] {
    var request = CRIListContainersRequest()
    request.filter = filter
    return try await runtime.listContainers(request, timeout: timeout).containers
  }

  public func containerStatus(_ id: String) async throws -> CRIContainerStatus {
    var request = CRIContainerStatusRequest()
    request.containerID = id
    return try await runtime.containerStatus(request, timeout: timeout).status
  }

  public func reopenContainerLog(_ id: String) async throws {
    var request = CRIReopenContainerLogRequest()
    request.containerID = id
    _ = try await runtime.reopenContainerLog(request, timeout: timeout)
  }

  public func execSync(_ id: String, _ command: [String], timeoutSeconds: Int64) async throws -> CRIExecSyncResponse {
    var request = CRIExecSyncRequest()
    request.containerID = id
    request.cmd = command
    request.timeout = timeoutSeconds
    // The runtime keeps the time; our deadline is only there for a runtime that does not.
    return try await runtime.execSync(
      request, timeout: timeoutSeconds == 0 ? nil : timeout + .seconds(timeoutSeconds))
  }

  public func exec(_ request: CRIExecRequest) async throws -> String {
    try await runtime.exec(request, timeout: timeout).url
  }

  public func attach(_ request: CRIAttachRequest) async throws -> String {
    try await runtime.attach(request, timeout: timeout).url
  }

  public func portForward(_ request: CRIPortForwardRequest) async throws -> String {
    try await runtime.portForward(request, timeout: timeout).url
  }

  public func listContainerStats() async throws -> [CRIContainerStats] {
    try await runtime.listContainerStats(timeout: timeout).stats
  }

  public func updateRuntimeConfig(podCIDR: String) async throws {
    var request = CRIUpdateRuntimeConfigRequest()
    request.runtimeConfig.networkConfig.podCidr = podCIDR
    _ = try await runtime.updateRuntimeConfig(request, timeout: timeout)
  }

  public func listImages() async throws -> [CRIImage] { try await images.listImages(timeout: timeout).images }

  public func imageStatus(_ image: CRIImageSpec) async throws -> CRIImage? {
    var request = CRIImageStatusRequest()
    request.image = image
    let answer = try await images.imageStatus(request, timeout: timeout)
    return answer.hasImage && !answer.image.id.isEmpty ? answer.image : nil
  }

  public func pullImage(_ request: CRIPullImageRequest) async throws -> String {
    try await images.pullImage(request, timeout: nil).imageRef
  }

  public func removeImage(_ image: CRIImageSpec) async throws {
    var request = CRIRemoveImageRequest()
    request.image = image
    _ = try await images.removeImage(request, timeout: timeout)
  }

  public func imageFileSystems() async throws -> [CRIFilesystemUsage] {
    try await images.imageFsInfo(timeout: timeout).imageFilesystems
  }
}
