import APISchema
import HTTP
import Synchronization

/// What discovery says: the built-in resources and those that come and go, from CustomResourceDefinitions and extension
/// servers. The documents are made again when they are next asked for after a change.
final class LiveDiscovery: Sendable {
  /// Groups and resources of one origin.
  struct Addition: Sendable, Equatable {
    var groups: [GroupInfo] = []
    var resources: [ResourceInfo] = []
    /// `group/version` of what is registered but cannot be asked at the moment.
    var stale: Set<String> = []
    /// Groups with higher ones come first, all of them after the built-in groups.
    var priority = 0
  }

  private struct State {
    var additions: [String: Addition] = [:]
    var documents: DiscoveryDocuments?
  }
  private let state = Mutex(State())

  /// Replaces what one origin adds; nil takes it away.
  func set(_ origin: String, _ addition: Addition?) {
    state.withLock { state in
      guard state.additions[origin] != addition else { return }
      state.additions[origin] = addition
      state.documents = nil
    }
  }

  /// The documents as of now.
  var documents: DiscoveryDocuments {
    state.withLock { state in
      if let documents = state.documents { return documents }
      let documents = Self.documents(state.additions)
      state.documents = documents
      return documents
    }
  }

  /// The built-in groups, then the others by priority and name; versions of one group from several origins go together.
  private static func documents(_ additions: [String: Addition]) -> DiscoveryDocuments {
    var groups = builtInGroups
    var resources = builtInResources
    var stale: Set<String> = []
    var kept: Set<String> = []
    let ordered = additions.sorted {
      $0.value.priority == $1.value.priority ? $0.key < $1.key : $0.value.priority > $1.value.priority
    }
    for (_, addition) in ordered {
      resources += addition.resources
      stale.formUnion(addition.stale)
      for group in addition.groups {
        kept.formUnion(group.versions.map { "\(group.name)/\($0)" })
        if let index = groups.firstIndex(where: { $0.name == group.name }) {
          groups[index].versions += group.versions.filter { !groups[index].versions.contains($0) }
        } else {
          groups.append(group)
        }
      }
    }
    return DiscoveryDocuments(resources: resources, groups: groups, stale: stale, kept: kept)
  }
}
