"""What a gateway is, in pure functions and frozen structs: no I/O, no clock, no asyncio."""
