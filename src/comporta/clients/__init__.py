"""What several engines share about one server program: how it is reached, asked and checked.

Nothing here knows what is stored.
"""
