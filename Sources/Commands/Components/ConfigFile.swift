import API
import APIMachinery
import Client
import PKI

/// A component's configuration file, in upstream's kinds and versions.
struct ConfigFile: Sendable {
  let path: String
  let root: JSONValue

  /// Reads a file and checks what kind it is.
  init(_ path: String, kind: String, apiVersion: String) throws {
    self.path = path
    guard let text = try AtomicFile.readText(path) else { throw FlagError("--config: \(path) does not exist") }
    do { root = try YAMLText.value(text) } catch { throw FlagError("--config: \(path): \(error)") }
    guard root["kind"]?.stringValue == kind, root["apiVersion"]?.stringValue == apiVersion else {
      throw FlagError("--config: \(path) must be a \(kind) of \(apiVersion)")
    }
  }

  /// Refuses fields that are not served rather than ignoring what the user wanted.
  func allow(only known: Set<String>) throws {
    guard let fields = root.objectValue else { return }
    for name in fields.keys.sorted() where !known.contains(name) && name != "kind" && name != "apiVersion" {
      throw FlagError("--config: \(path): field \"\(name)\" is not served by apus")
    }
  }

  func value(_ names: String...) -> JSONValue? {
    var value: JSONValue? = root
    for name in names { value = value?[name] }
    return value
  }

  func duration(_ names: String...) throws -> Duration? {
    var value: JSONValue? = root
    for name in names { value = value?[name] }
    guard let text = value?.stringValue else { return nil }
    guard let duration = FlagValues.duration(text) else {
      throw FlagError("--config: \(path): \(names.joined(separator: ".")): invalid duration \"\(text)\"")
    }
    return duration
  }
}
