import API
import APIMachinery

/// One page of a list, decoded straight into the typed kind.
struct ListPage<T: APIObject>: JSONDecodable {
  var items: [T] = []
  var resourceVersion = ""
  var continueToken = ""

  init(from reader: inout JSONReader) throws {
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("items") {
        if try reader.readNull() { continue }
        try reader.beginArray()
        while try reader.nextElement() { items.append(try T(from: &reader)) }
      } else if key.equals("metadata") {
        if try reader.readNull() { continue }
        try reader.beginObject()
        while let key = try reader.nextKey() {
          if key.equals("resourceVersion") {
            resourceVersion = try reader.string()
          } else if key.equals("continue") {
            continueToken = try reader.string()
          } else {
            _ = try reader.skipValue()
          }
        }
      } else {
        _ = try reader.skipValue()
      }
    }
  }
}
