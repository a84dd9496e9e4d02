public import API

extension PartialObjectMetadata {
  /// The Accept header of a watch that wants metadata only; a server that cannot sends whole objects.
  public static let watchAccept =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
  /// The same for a list.
  public static let listAccept =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
}
