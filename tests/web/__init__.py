"""The HTTP API, from outside."""
