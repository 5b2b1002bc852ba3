"""Search of a database for the nearest descriptors, exact or approximate."""
