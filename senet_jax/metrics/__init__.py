"""How good ranked lists are."""
