"""Python types in JSON: their JSON Schema (2020-12), decoding from JSON, and encoding to JSON."""
