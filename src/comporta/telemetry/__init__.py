"""How people and machines see what the gateway does: metrics, logs and health.

Nothing here decides anything about events, and nothing here may slow the path of an event down.
"""
