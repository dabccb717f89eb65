"""Programs of clients, which run in environments of their own."""
