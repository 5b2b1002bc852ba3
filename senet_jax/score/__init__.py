"""The commands that score a search and compare scores."""
