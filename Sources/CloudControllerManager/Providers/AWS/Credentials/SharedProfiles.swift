import FoundationEssentials

/// The shared files `~/.aws/config` and `~/.aws/credentials`.
struct SharedProfiles: Sendable {
  private var profiles: [String: INIFile.Section] = [:]
  /// The profile in use: `AWS_PROFILE`, else `default`.
  let selected: String
  /// `AWS_PROFILE` was set, so that the profile must exist.
  let explicit: Bool

  /// Reads the files that the environment names; a file that is not there is an empty one.
  init(environment: [String: String]) throws {
    let named = environment["AWS_PROFILE"] ?? environment["AWS_DEFAULT_PROFILE"] ?? ""
    selected = named.isEmpty ? "default" : named
    explicit = !named.isEmpty
    let home = environment["HOME"] ?? "/root"
    if let text = Self.text(environment["AWS_CONFIG_FILE"], "\(home)/.aws/config") {
      for section in try INIFile(text).sections {
        let words = section.header.split(separator: " ", maxSplits: 1)
        if section.header == "default" {
          merge("default", section)
        } else if words.count == 2, words[0] == "profile" {
          merge(String(words[1].filter { $0 != "\"" && $0 != "'" }), section)
        }
      }
    }
    if let text = Self.text(environment["AWS_SHARED_CREDENTIALS_FILE"], "\(home)/.aws/credentials") {
      for section in try INIFile(text).sections { merge(section.header, section) }
    }
  }

  private mutating func merge(_ name: String, _ section: INIFile.Section) {
    profiles[name, default: INIFile.Section(header: name)].settings += section.settings
  }

  private static func text(_ path: String?, _ usual: String) -> String? {
    let path = path.flatMap { $0.isEmpty ? nil : $0 } ?? usual
    return try? String(contentsOfFile: path, encoding: .utf8)
  }

  /// The settings of a profile.
  subscript(name: String) -> INIFile.Section? { profiles[name] }
  /// The settings of the profile in use.
  var current: INIFile.Section? { profiles[selected] }
}
