// APIGroups
