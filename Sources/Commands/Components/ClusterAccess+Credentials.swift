import Client

extension ClusterAccess {
  /// The same servers and authority for somebody who proves by other means who they are.
  var withoutCredentials: ClusterAccess {
    var access = self
    access.clientCertificate = []
    access.clientKey = []
    access.token = nil
    access.tokenFile = nil
    access.basic = nil
    return access
  }
}
