"""The only room that knows SQL. Everything else is handed plain values."""
