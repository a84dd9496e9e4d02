// Importing API gives every kind and the machinery that their signatures show.
@_exported public import APICore
@_exported public import APIGroups
@_exported public import APIMachinery
@_exported public import APIMeta
@_exported public import APISchema
