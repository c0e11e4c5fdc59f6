"""What several engines share about one server program: where it is, and how to talk to it safely.

Engines import it and it imports none of them; it knows nothing about what is stored.
"""
