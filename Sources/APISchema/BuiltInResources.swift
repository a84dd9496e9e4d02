/// Every served resource, beta ones included.
public let builtInResources: [ResourceInfo] = ResourceParser.content.resources

/// The API groups in the order of discovery.
public let builtInGroups: [GroupInfo] = ResourceParser.content.groups

/// A kind as a table key.
public struct TableKind: Sendable, Hashable {
  /// The API group.
  public var group: String
  /// The kind.
  public var kind: String

  /// A key from its parts.
  public init(group: String, kind: String) {
    self.group = group
    self.kind = kind
  }
}

/// Table columns by kind.
public let builtInColumns: [TableKind: [ColumnInfo]] = ResourceParser.columns()

/// The columns of a kind; those of a kind that declares none otherwise.
public func tableColumns(group: String, kind: String) -> [ColumnInfo] {
  builtInColumns[TableKind(group: group, kind: kind)] ?? builtInColumns[TableKind(group: "", kind: "*")] ?? []
}

/// Reads the generated texts: `G` groups, `R` resources each followed by its `S` subresources, `K` kinds each
/// followed by its `C` columns.
enum ResourceParser {
  static let content: (groups: [GroupInfo], resources: [ResourceInfo]) = {
    var groups: [GroupInfo] = []
    var resources: [ResourceInfo] = []
    var lines = TextLines(resourceText)
    var c: [UnsafeBufferPointer<UInt8>] = []
    while lines.next(into: &c) {
      switch c[0].string {
      case "G": groups.append(GroupInfo(name: c[1].string, preferred: c[2].string, versions: c[3].parts(",")))
      case "R": resources.append(resource(c))
      default: resources[resources.count - 1].subresources.append(subresource(c))
      }
    }
    return (groups, resources)
  }()

  private static func resource(_ c: [UnsafeBufferPointer<UInt8>]) -> ResourceInfo {
    var info = ResourceInfo()
    info.group = c[1].string
    info.version = c[2].string
    info.resource = c[3].string
    info.singular = c[4].string
    info.kind = c[5].string
    info.namespaced = c[6].has("n")
    info.preferred = c[6].has("p")
    info.enabledByDefault = c[6].has("e")
    info.verbs = c[7].parts(",")
    info.shortNames = c[8].parts(",")
    info.categories = c[9].parts(",")
    info.storageGroup = c[10].string
    info.storageVersion = c[11].string
    info.stage = c[12].string
    return info
  }

  private static func subresource(_ c: [UnsafeBufferPointer<UInt8>]) -> SubresourceInfo {
    var info = SubresourceInfo()
    info.name = c[1].string
    info.kind = c[2].string
    info.group = c[3].string
    info.version = c[4].string
    info.verbs = c[5].parts(",")
    return info
  }

  static func columns() -> [TableKind: [ColumnInfo]] {
    var table: [TableKind: [ColumnInfo]] = [:]
    var lines = TextLines(columnText)
    var c: [UnsafeBufferPointer<UInt8>] = []
    var kind = TableKind(group: "", kind: "")
    while lines.next(into: &c) {
      if c[0].string == "K" {
        kind = TableKind(group: c[1].string, kind: c[2].string)
      } else {
        table[kind, default: []].append(
          ColumnInfo(
            name: c[1].string, type: c[2].string, format: c.count > 3 ? c[3].string : "",
            priority: c.count > 4 ? Int32(c[4].int) : 0))
      }
    }
    return table
  }
}
