"""Tests of threads, series and revisions, on made-up threads and on the corpus."""
