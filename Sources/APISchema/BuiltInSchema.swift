public import APIMachinery

/// Every type of the API, beta ones included, by OpenAPI name and by kind.
public let builtInSchema = SchemaTable(types: SchemaParser.parse(schemaTexts, capacity: schemaTypeCount))
