import APIMachinery
import Foundation
import Glibc
import Testing

@testable import ContainerRuntime

@Suite struct ReferenceTests {
  @Test(arguments: [
    ("nginx", "docker.io/library/nginx:latest"), ("a/b:1", "docker.io/a/b:1"),
    ("localhost/x", "localhost/x:latest"), ("reg:5000/x/y:z", "reg:5000/x/y:z"),
    ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"), ("index.docker.io/x:1", "docker.io/library/x:1"),
    ("x@sha256:00", "docker.io/library/x@sha256:00"),
  ])
  func completes(_ short: String, _ full: String) { #expect(ImageReference.normalize(short) == full) }

  @Test func splits() {
    #expect(ImageReference.tag(of: "reg:5000/x") == "latest" && ImageReference.tag(of: "reg:5000/x:2") == "2")
    #expect(ImageReference.repository(of: "reg:5000/x:2@sha256:0") == "reg:5000/x")
  }
}

@Suite struct ArchiveTests {
  @Test func tarsAreReadableByTar() async throws {
    try await withDirectory { root in
      let long = String(repeating: "directory/", count: 15) + "file"
      var writer = TarWriter()
      writer.add(.directory, "d/", mode: 0o755)
      writer.add(.file, "d/a", mode: 0o640, content: Array("hello".utf8))
      writer.add(.hardLink, "d/b", mode: 0o640, target: "d/a")
      writer.add(.symbolicLink, "d/c", mode: 0o777, target: "a")
      writer.add(.file, long, mode: 0o644, content: [UInt8](repeating: 7, count: 1025))
      try FileSystem.write(writer.finish(), to: root + "/x.tar")
      let tar = try Subprocess.run(["/bin/tar", "-C", root, "-xvf", root + "/x.tar"])
      #expect(tar.status == 0)
      #expect(try FileSystem.read(root + "/d/b") == Array("hello".utf8))
      #expect(try FileSystem.read(root + "/" + long).count == 1025)

      // What tar itself writes can be read back, links included.
      let made = try Subprocess.run(["/bin/tar", "-C", root, "-cf", root + "/y.tar", "d", "directory"])
      #expect(made.status == 0)
      let reader = try TarReader(path: root + "/y.tar")
      for name in ["d/a", "d/b", "d/c"] { #expect(try reader.content(name) == Array("hello".utf8), "\(name)") }
      #expect(reader.entries[long]?.size == 1025)
    }
  }

  @Test func refusesWhatIsNoArchive() async throws {
    try await withDirectory { root in
      try FileSystem.write([UInt8](repeating: 65, count: 2048), to: root + "/x.tar")
      #expect(throws: ImageError.self) { try TarReader(path: root + "/x.tar") }
      try FileSystem.write(TarWriter().finish(), to: root + "/y.tar")
      let error = #expect(throws: ImageError.self) {
        try ImagePlan(archive: TarReader(path: root + "/y.tar"), origin: "y")
      }
      #expect(error?.description.contains("not an image archive") == true)
    }
  }

  @Test func plansALayoutChildrenFirst() async throws {
    try await withDirectory { root in
      try FileSystem.write(SandboxImage.archive(), to: root + "/pause.tar")
      #expect(try FileSystem.read(root + "/pause.tar") == SandboxImage.archive())
      let plan = try ImagePlan(archive: TarReader(path: root + "/pause.tar"), origin: "pause.tar")
      #expect(plan.images.map(\.name) == [SandboxImage.name])
      #expect(plan.blobs.count == 3)
      for blob in plan.blobs {
        let bytes = try blob.read(at: 0, count: blob.size)
        #expect(bytes.count == blob.size && Digest.sha256(bytes) == blob.digest)
      }
      let manifest = try #require(plan.blobs.last)
      #expect(manifest.digest == plan.images.first?.digest)
      #expect(Set(manifest.labels.values) == Set(plan.blobs.dropLast().map(\.digest)))
      #expect(Set(manifest.labels.keys) == ["containerd.io/gc.ref.content.config", "containerd.io/gc.ref.content.l.0"])
    }
  }

  @Test func plansADockerArchive() async throws {
    try await withDirectory { root in
      var layer = TarWriter()
      layer.add(.file, "x", mode: 0o644, content: [1])
      var archive = TarWriter()
      archive.add(.file, "l1/layer.tar", mode: 0o644, content: layer.finish())
      archive.add(.symbolicLink, "l2/layer.tar", mode: 0o777, target: "../l1/layer.tar")
      archive.add(.file, "c.json", mode: 0o644, content: Array("{}".utf8))
      let manifest = #"[{"Config":"c.json","RepoTags":["x:1","y/z:2"],"Layers":["l1/layer.tar","l2/layer.tar"]}]"#
      archive.add(.file, "manifest.json", mode: 0o644, content: Array(manifest.utf8))
      try FileSystem.write(archive.finish(), to: root + "/d.tar")
      let plan = try ImagePlan(archive: TarReader(path: root + "/d.tar"), origin: "d.tar")
      #expect(plan.images.map(\.name) == ["docker.io/library/x:1", "docker.io/y/z:2"])
      // The equal layers are one blob.
      #expect(plan.blobs.count == 3)
      let made = try JSONValue(parsing: #require(plan.blobs.last).read(at: 0, count: 1 << 20))
      #expect(made["layers"]?.arrayValue?.count == 2)
      #expect(made["config"]?["digest"]?.stringValue == Digest.sha256(Array("{}".utf8)))
    }
  }
}

@Suite struct PauseTests {
  @Test func isAProgramThatEndsOnSIGTERM() async throws {
    try await withDirectory { root in
      try FileSystem.write(PauseProgram.executable(), to: root + "/pause", mode: 0o755)
      let pid = try Subprocess.launch([root + "/pause"], log: root + "/log", environment: [])
      // It sleeps once it waits for signals; one that came before would end it with that signal.
      while FileSystem.text("/proc/\(pid)/stat")?.contains("(pause) S") != true {
        try #require(EngineProcess(pid: pid) != nil)
        try await Task.sleep(for: .milliseconds(1))
      }
      kill(pid, SIGTERM)
      var status: Int32 = -1
      #expect(waitpid(pid, &status, 0) == pid)
      #expect(status == 0)
    }
  }

  @Test func bothArchitecturesAreELF() {
    for (architecture, machine) in [(PauseProgram.Architecture.amd64, UInt8(0x3e)), (.arm64, 0xb7)] {
      let file = PauseProgram.executable(for: architecture)
      #expect(file.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]))
      #expect(file[18] == machine && file.count > 120 && file.count < 512)
    }
  }
}
