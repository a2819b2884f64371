"""Settings as frozen data: the schema, TOML recipes, their loading, checking and rendering."""
