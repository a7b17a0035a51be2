"""Tests of the whole program from outside: real processes, real sockets, a real PostgreSQL, real git."""
