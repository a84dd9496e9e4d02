import API
import Foundation

@testable import Kubelet

func makePod(_ name: String = "web", _ change: (inout Pod) -> Void = { _ in }) -> Pod {
  var pod = Pod()
  pod.metadata.name = name
  pod.metadata.namespace = "default"
  pod.metadata.uid = "uid-\(name)"
  pod.metadata.generation = 1
  pod.spec.nodeName = "node1"
  pod.spec.containers = [makeContainer("main")]
  PodDefaults.apply(&pod)
  change(&pod)
  return pod
}

func makeContainer(_ name: String, _ change: (inout Container) -> Void = { _ in }) -> Container {
  var container = Container()
  container.name = name
  container.image = "busybox:1"
  container.imagePullPolicy = "IfNotPresent"
  container.terminationMessagePath = "/dev/termination-log"
  container.terminationMessagePolicy = "File"
  change(&container)
  return container
}

func running(_ name: String, id: String? = nil, sandbox: String = "s1", container: Container? = nil) -> RuntimeContainer
{
  var out = RuntimeContainer()
  out.id = id ?? "c-\(name)"
  out.name = name
  out.sandboxID = sandbox
  out.state = .running
  out.createdAt = 1_000_000_000
  out.startedAt = 2_000_000_000
  out.hash = containerHash(container ?? makeContainer(name))
  return out
}

func exited(_ name: String, code: Int32, sandbox: String = "s1", at: Int64 = 3_000_000_000) -> RuntimeContainer {
  var out = running(name, sandbox: sandbox)
  out.state = .exited
  out.exitCode = code
  out.finishedAt = at
  return out
}

func runtimePod(_ containers: [RuntimeContainer], sandboxReady: Bool = true) -> RuntimePod {
  var out = RuntimePod()
  out.uid = "uid-web"
  out.sandboxes = [RuntimeSandbox(id: "s1", attempt: 0, ready: sandboxReady, createdAt: 1, ips: ["10.0.0.1"])]
  out.containers = containers
  return out
}

/// A directory that goes away with the test.
final class Scratch {
  let path: String
  init() {
    path = NSTemporaryDirectory() + "/kubelet-test-\(UUID().uuidString)"
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
}

func at(_ seconds: Int64) -> ContinuousTime { ContinuousTime(nanoseconds: seconds * 1_000_000_000) }
