"""The fleet: read a fleet file, see what it would change, change it, and write it back.

`parse` reads, `plan` compares, `render` writes, `FleetService` does it on a ledger. Rules about
what a fleet may be stand once, in `check`, for files and for single commands alike.
"""
