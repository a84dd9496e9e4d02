import API
import Testing

@testable import Kubelet

private struct FixedObjects: VolumeObjects {
  var maps: [String: [String: String]] = [:]
  var claims: [String: PersistentVolumeClaim] = [:]
  var persistent: [String: PersistentVolume] = [:]
  func configMap(_ namespace: String, _ name: String) async throws -> ConfigMap? {
    maps[name].map {
      var map = ConfigMap()
      map.data = $0
      return map
    }
  }
  func secret(_ namespace: String, _ name: String) async throws -> Secret? {
    maps[name].map {
      var secret = Secret()
      secret.data = $0.mapValues { Base64Bytes(Array($0.utf8)) }
      return secret
    }
  }
  func claim(_ namespace: String, _ name: String) async throws -> PersistentVolumeClaim? { claims[name] }
  func persistentVolume(_ name: String) async throws -> PersistentVolume? { persistent[name] }
  func token(_ pod: Pod, audience: String, expirationSeconds: Int64) async throws -> String { "token-\(audience)" }
}

@Suite struct VolumeTests {
  private func manager(_ scratch: Scratch, _ objects: FixedObjects) -> VolumeManager {
    VolumeManager(root: scratch.path, mounter: NoMounter(), objects: objects, host: { (["h"], [:], ["zone": "a"]) })
  }

  private func pod(_ volumes: [Volume], _ change: (inout Pod) -> Void = { _ in }) -> Pod {
    makePod {
      $0.spec.volumes = volumes
      $0.spec.containers[0].volumeMounts = volumes.map {
        var mount = VolumeMount()
        mount.name = $0.name
        mount.mountPath = "/\($0.name)"
        return mount
      }
      change(&$0)
    }
  }

  private func configVolume(_ name: String = "config") -> Volume {
    var volume = Volume()
    volume.name = "cfg"
    volume.configMap = ConfigMapVolumeSource()
    volume.configMap?.name = name
    return volume
  }

  @Test func filesAreReplacedAtOnce() throws {
    let scratch = Scratch()
    let writer = AtomicWriter(directory: scratch.path)
    func file(_ text: String) -> ProjectedFile { ProjectedFile(data: Array(text.utf8), mode: 0o640) }
    #expect(try writer.write(["a": file("1"), "d/b": file("2")], stamp: "one"))
    #expect(try Files.text("\(scratch.path)/a") == "1")
    #expect(try Files.text("\(scratch.path)/d/b") == "2")
    #expect(try Files.mode("\(scratch.path)/a") == 0o640)
    #expect(Files.readLink("\(scratch.path)/..data") == "..one")
    #expect(try !writer.write(["a": file("1"), "d/b": file("2")], stamp: "two"))
    #expect(try writer.write(["a": file("3")], stamp: "three"))
    #expect(try Files.text("\(scratch.path)/a") == "3")
    #expect(try Files.list(scratch.path) == ["..data", "..three", "a"])
    #expect(throws: ContainerConfigError.self) { try writer.write(["../x": file("")], stamp: "four") }
  }

  @Test func configMapsFollowTheirObject() async throws {
    let scratch = Scratch()
    let pod = pod([configVolume()])
    var objects = FixedObjects(maps: ["config": ["key": "old"]])
    let path = try #require(try await manager(scratch, objects).mount(pod, podIPs: [])["cfg"]).path
    #expect(try Files.text("\(path)/key") == "old")
    objects.maps["config"] = ["key": "new"]
    _ = try await manager(scratch, objects).mount(pod, podIPs: [])
    #expect(try Files.text("\(path)/key") == "new")
    try manager(scratch, objects).unmount(uid: pod.metadata.uid)
    #expect(!Files.exists("\(scratch.path)/pods/\(pod.metadata.uid)"))
  }

  @Test func aMissingConfigMapIsNamed() async {
    let scratch = Scratch()
    await #expect {
      _ = try await manager(scratch, FixedObjects()).mount(pod([configVolume("gone")]), podIPs: [])
    } throws: {
      ($0 as? VolumeSetupError)?.description
        == "MountVolume.SetUp failed for volume \"cfg\" : configmap \"gone\" not found"
    }
  }

  @Test func projectionsJoin() async throws {
    let scratch = Scratch()
    var volume = Volume()
    volume.name = "all"
    var map = VolumeProjection()
    map.configMap = ConfigMapProjection()
    map.configMap?.name = "config"
    var item = KeyToPath()
    item.key = "key"
    item.path = "nested/ca.crt"
    map.configMap?.items = [item]
    var token = VolumeProjection()
    token.serviceAccountToken = ServiceAccountTokenProjection()
    token.serviceAccountToken?.path = "token"
    token.serviceAccountToken?.audience = "api"
    var downward = VolumeProjection()
    downward.downwardAPI = DownwardAPIProjection()
    var field = DownwardAPIVolumeFile()
    field.path = "namespace"
    field.fieldRef = ObjectFieldSelector()
    field.fieldRef?.fieldPath = "metadata.namespace"
    downward.downwardAPI?.items = [field]
    volume.projected = ProjectedVolumeSource()
    volume.projected?.sources = [map, token, downward]
    let pod = pod([volume])
    let mounted = try await manager(scratch, FixedObjects(maps: ["config": ["key": "CA"]])).mount(pod, podIPs: [])
    let path = try #require(mounted["all"]).path
    #expect(try Files.text("\(path)/nested/ca.crt") == "CA")
    #expect(try Files.text("\(path)/token") == "token-api")
    #expect(try Files.text("\(path)/namespace") == "default")
  }

  @Test func emptyDirsAreOpenToAll() async throws {
    let scratch = Scratch()
    var volume = Volume()
    volume.name = "tmp"
    volume.emptyDir = EmptyDirVolumeSource()
    let pod = pod([volume])
    let path = try #require(try await manager(scratch, FixedObjects()).mount(pod, podIPs: [])["tmp"]).path
    #expect(try Files.mode(path) == 0o777)
    try Files.write("\(path)/kept", [1])
    _ = try await manager(scratch, FixedObjects()).mount(pod, podIPs: [])
    #expect(Files.exists("\(path)/kept"))
  }

  @Test func claimsLeadToTheirVolume() async throws {
    let scratch = Scratch()
    var volume = Volume()
    volume.name = "data"
    volume.persistentVolumeClaim = PersistentVolumeClaimVolumeSource()
    volume.persistentVolumeClaim?.claimName = "claim"
    var claim = PersistentVolumeClaim()
    claim.metadata.uid = "c1"
    claim.spec.volumeName = "pv"
    var persistent = PersistentVolume()
    persistent.metadata.name = "pv"
    persistent.spec.local = LocalVolumeSource()
    persistent.spec.local?.path = scratch.path
    persistent.spec.claimRef = ObjectReference()
    persistent.spec.claimRef?.uid = "c1"
    var objects = FixedObjects(claims: ["claim": claim], persistent: ["pv": persistent])
    await #expect {
      _ = try await manager(scratch, objects).mount(pod([volume]), podIPs: [])
    } throws: {
      ($0 as? VolumeSetupError)?.description == "error processing PVC default/claim: PVC is not bound"
    }
    claim.status.phase = "Bound"
    objects.claims["claim"] = claim
    #expect(try await manager(scratch, objects).mount(pod([volume]), podIPs: [])["data"]?.path == scratch.path)
  }

  @Test(arguments: ["Directory", "File", "Socket", "BlockDevice"])
  func hostPathTypesAreChecked(type: String) {
    let scratch = Scratch()
    var source = HostPathVolumeSource()
    source.path = "\(scratch.path)/none"
    source.type = type
    #expect(throws: ContainerConfigError.self) { try HostPaths.prepare(source) }
  }

  @Test func hostPathsAreMade() throws {
    let scratch = Scratch()
    var source = HostPathVolumeSource()
    source.path = "\(scratch.path)/a/b"
    source.type = "DirectoryOrCreate"
    try HostPaths.prepare(source)
    #expect(try Files.kind(source.path) == .directory)
    source.type = "FileOrCreate"
    #expect(throws: ContainerConfigError.self) { try HostPaths.prepare(source) }
  }

  @Test func subPathsStayInside() throws {
    let scratch = Scratch()
    try Files.makeDirectories("\(scratch.path)/volume")
    let volume = MountedVolume(path: "\(scratch.path)/volume")
    let made = try SubPaths.resolve(volume: volume, subPath: "x/y")
    #expect(try Files.kind(made) == .directory)
    #expect(throws: ContainerConfigError.self) { try SubPaths.resolve(volume: volume, subPath: "../etc") }
    try Files.symlink("/etc", at: "\(scratch.path)/volume/out")
    #expect(throws: ContainerConfigError.self) { try SubPaths.resolve(volume: volume, subPath: "out/passwd") }
    #expect(throws: ContainerConfigError.self) { try SubPaths.resolve(volume: volume, subPath: "out/new") }
  }
}
