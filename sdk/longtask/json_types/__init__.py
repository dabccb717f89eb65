"""How Python types are written as JSON: their JSON Schema (2020-12), the way from JSON to Python, and back."""
