"""A page and an HTTP interface for searching an index, on this machine or for others."""
