internal import Glibc

/// The octets of an address as certificates hold it: 4 or 16.
func addressOctets(_ text: String) throws(PKIError) -> [UInt8] {
  var octets = [UInt8](repeating: 0, count: 16)
  if inet_pton(AF_INET, text, &octets) == 1 { return Array(octets[..<4]) }
  if inet_pton(AF_INET6, text, &octets) == 1 { return octets }
  throw .invalidAddress(text)
}

/// The text of an address, nil when the octets are none.
func addressText(_ octets: some Collection<UInt8>) -> String? {
  let family = octets.count == 4 ? AF_INET : AF_INET6
  guard octets.count == 4 || octets.count == 16 else { return nil }
  var text = [CChar](repeating: 0, count: 64)
  guard inet_ntop(family, Array(octets), &text, socklen_t(text.count)) != nil else { return nil }
  return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
