"""Telling people: one module a kind of notifier, each a function that sends or raises."""
