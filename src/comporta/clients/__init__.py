"""What several engines share about one server program: to connect, check, and say what is wrong."""
