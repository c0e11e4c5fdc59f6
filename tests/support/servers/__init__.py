"""Real servers for tests: each in a folder of its own, on free ports, and always ended."""
