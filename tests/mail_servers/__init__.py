"""Real mail servers in front of the real daemon."""
