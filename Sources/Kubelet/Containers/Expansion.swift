/// Expands `$(NAME)` as Kubernetes does: unknown names stay, `$$` is a dollar sign.
func expand(_ input: String, _ lookup: (String) -> String?) -> String {
  guard input.utf8.contains(UInt8(ascii: "$")) else { return input }
  let bytes = Array(input.utf8)
  var out: [UInt8] = []
  var index = 0
  while index < bytes.count {
    guard bytes[index] == UInt8(ascii: "$"), index + 1 < bytes.count else {
      out.append(bytes[index])
      index += 1
      continue
    }
    switch bytes[index + 1] {
    case UInt8(ascii: "$"):
      out.append(UInt8(ascii: "$"))
      index += 2
    case UInt8(ascii: "("):
      guard let end = bytes[(index + 2)...].firstIndex(of: UInt8(ascii: ")")) else {
        out += [UInt8(ascii: "$"), UInt8(ascii: "(")]
        index += 2
        continue
      }
      let name = String(decoding: bytes[(index + 2)..<end], as: UTF8.self)
      out += (lookup(name) ?? "$(\(name))").utf8
      index = end + 1
    default:
      out += [UInt8(ascii: "$"), bytes[index + 1]]
      index += 2
    }
  }
  return String(decoding: out, as: UTF8.self)
}
