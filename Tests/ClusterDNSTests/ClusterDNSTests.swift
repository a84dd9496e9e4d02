// Tests of ClusterDNS.
