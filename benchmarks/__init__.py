"""One file a claim; each prints the ratio that it stands for. They are no tests."""
