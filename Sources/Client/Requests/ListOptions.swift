/// What to list or watch. Empty means: not asked for.
public struct ListOptions: Sendable, Equatable {
  /// Only objects whose labels match.
  public var labelSelector = ""
  /// Only objects whose fields match.
  public var fieldSelector = ""
  /// The version to read at, or to watch from.
  public var resourceVersion = ""
  /// How `resourceVersion` constrains a list: `NotOlderThan` or `Exact`.
  public var resourceVersionMatch = ""
  /// How many objects one page may hold.
  public var limit: Int64 = 0
  /// The token of the next page.
  public var `continue` = ""
  /// When the server shall end the watch.
  public var timeoutSeconds: Int64?
  /// Whether a watch may send bookmarks.
  public var allowWatchBookmarks = false
  /// Whether a watch begins with the objects that are there.
  public var sendInitialEvents: Bool?

  /// Options by what is usually wanted.
  public init(
    labelSelector: String = "", fieldSelector: String = "", resourceVersion: String = "",
    resourceVersionMatch: String = "", limit: Int64 = 0
  ) {
    self.labelSelector = labelSelector
    self.fieldSelector = fieldSelector
    self.resourceVersion = resourceVersion
    self.resourceVersionMatch = resourceVersionMatch
    self.limit = limit
  }

  func query(watch: Bool = false) -> String {
    var query = QueryBuilder()
    if watch { query.add("watch", "true") }
    query.add("labelSelector", labelSelector)
    query.add("fieldSelector", fieldSelector)
    query.add("resourceVersion", resourceVersion)
    query.add("resourceVersionMatch", resourceVersionMatch)
    query.add("limit", limit)
    query.add("continue", self.`continue`)
    query.add("timeoutSeconds", timeoutSeconds)
    if allowWatchBookmarks { query.add("allowWatchBookmarks", "true") }
    query.add("sendInitialEvents", flag: sendInitialEvents)
    return query.text
  }
}
