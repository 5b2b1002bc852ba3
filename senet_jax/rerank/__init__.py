"""After the search: from a ranking to a better one."""
