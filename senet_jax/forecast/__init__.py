"""What the job of a config takes, in counts and bytes, without running it."""
