"""Studies: many runs of the ordinary jobs, and the tables that they make."""
