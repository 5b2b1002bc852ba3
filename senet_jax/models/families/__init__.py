"""A file a family: its settings, names and abilities; its layers are imported when it is built."""
