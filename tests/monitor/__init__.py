"""What monitoring sees."""
