import API
import APIMachinery

// Short forms with the path as text, for the errors that the registry itself raises.
extension FieldError {
  static func forbidden(_ field: String, _ detail: String) -> FieldError {
    .forbidden(FieldPath(field), detail)
  }

  static func required(_ field: String, _ detail: String) -> FieldError { .required(FieldPath(field), detail) }

  static func invalid(_ field: String, _ value: some FieldValue, _ detail: String) -> FieldError {
    .invalid(FieldPath(field), value, detail)
  }

  static func notSupported(_ field: String, _ value: String, _ supported: [String]) -> FieldError {
    .notSupported(FieldPath(field), value, supported)
  }
}
