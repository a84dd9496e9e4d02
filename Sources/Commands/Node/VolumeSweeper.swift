import API
import Client
import ControllerManager
import Foundation
import Logging

/// Deletes the directories of this node's volumes that the local-path provisioner asks for in the Node's annotations,
/// and says so there.
struct VolumeSweeper: Sendable {
  private let client: APIClient
  private let nodes: Informer<Node>
  private let nodeName: String
  private let logger: Logger

  init(client: APIClient, informers: InformerFactory, nodeName: String, logger: Logger) {
    self.client = client
    self.nodeName = nodeName
    self.logger = logger
    nodes = informers.informer(Node.self)
  }

  /// Follows the Node until the task is cancelled.
  func run() async throws {
    let (changes, changed) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    nodes.addHandler { [nodeName] event in
      guard event.object.metadata.name == nodeName else { return }
      changed.yield()
    }
    for await _ in changes {
      guard let node = nodes.lister.get(name: nodeName) else { continue }
      do {
        try await sweep(node)
      } catch is CancellationError {
        return
      } catch {
        // The node's next status, seconds away, brings another try.
        logger.warning("volumes could not be deleted", metadata: ["error": "\(error)"])
      }
    }
  }

  private func sweep(_ node: Node) async throws {
    let requested = LocalPathDeletion.paths(LocalPathDeletion.request, of: node)
    let done = LocalPathDeletion.paths(LocalPathDeletion.done, of: node)
    guard Set(requested) != Set(done) else { return }
    var gone: [String] = []
    for path in requested {
      guard LocalPathDeletion.isVolume(path) else {
        logger.error("asked to delete what is no volume", metadata: ["path": "\(path)"])
        continue
      }
      do {
        if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        gone.append(path)
      } catch {
        logger.error("a volume's directory cannot be deleted", metadata: ["path": "\(path)", "error": "\(error)"])
      }
    }
    guard Set(gone) != Set(done) else { return }
    _ = try await client.patch(Node.self, name: nodeName, .merge(LocalPathDeletion.patch(LocalPathDeletion.done, gone)))
  }
}
