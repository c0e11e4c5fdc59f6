"""Alerts for people without a monitoring system: what is wrong, who is told of it, and when."""
