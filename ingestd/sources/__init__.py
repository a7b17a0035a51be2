"""Mail from archives: each source yields (where it is from, the bytes of one mail)."""
