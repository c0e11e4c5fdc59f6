"""The places that events are brought to."""
