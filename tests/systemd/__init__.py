"""The units, and the daemon under systemd."""
