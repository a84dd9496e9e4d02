import API
import Validation

/// Decodes an object, applies defaults, and gives the messages of what is wrong with it.
func messages<T: APIObject>(_ type: T.Type, _ json: String) throws -> [String] {
  var object: any APIObject = try T.decode(Array(json.utf8))
  applyDefaults(to: &object)
  return validateCreate(object).map(\.message)
}

/// An object with defaults.
func defaulted<T: APIObject>(_ type: T.Type, _ json: String) throws -> T {
  var object: any APIObject = try T.decode(Array(json.utf8))
  applyDefaults(to: &object)
  guard let typed = object as? T else { throw Mismatch() }
  return typed
}

struct Mismatch: Error {}

/// The messages of what is wrong with a change.
func changeMessages<T: APIObject>(_ old: T, _ change: (inout T) -> Void) -> [String] {
  var new = old
  change(&new)
  return validateUpdate(new, old: old).map(\.message)
}

/// A pod as small as can be.
func pod(_ spec: String = "") throws -> Pod {
  try defaulted(
    Pod.self,
    #"{"metadata":{"name":"p","namespace":"d"},"spec":{"containers":[{"name":"c","image":"i:1"}]\#(spec)}}"#)
}
