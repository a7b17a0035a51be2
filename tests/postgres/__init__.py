"""Tests of the embedded PostgreSQL, each with a server of its own."""
