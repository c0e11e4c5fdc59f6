"""Comporta: the event gateway for people who run many Chatwoot installations.

Every webhook from every installation is made durable before it is answered, kept in conversation
order, and delivered with retries, dead letters and replay.
"""

__version__ = "0.1.0"
