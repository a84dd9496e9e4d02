/// The preset dictionary of SPDY/3's header compression.
///
/// The wire format fixes it to the byte (1,423 bytes, Adler-32 0xe3c6a7c2): length-prefixed header names followed by
/// one run of common values. It is kept as the words it consists of so that it can be read.
enum SPDYDictionary {
  private static let words =
    """
    options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow \
    authorization cache-control connection content-base content-encoding content-language content-length \
    content-location content-md5 content-range content-type date etag expect expires from host if-match \
    if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie \
    keep-alive origin
    """

  private static let tail =
    """
    100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
    203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized\
    403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
    Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
    chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,\
    text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.
    """

  /// The dictionary's bytes.
  static let bytes: [UInt8] = {
    var out: [UInt8] = []
    for word in words.split(separator: " ") {
      let text = Array(word.utf8).map { $0 == UInt8(ascii: "_") ? UInt8(ascii: " ") : $0 }
      out += [0, 0, 0, UInt8(text.count)]
      out += text
    }
    out += tail.utf8
    return out
  }()
}
