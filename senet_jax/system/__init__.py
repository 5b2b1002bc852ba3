"""Files, processes, errors and devices."""
