"""Tools for trying out a gateway and its handlers.

They are public, so that whoever builds on Comporta can test with them. `deliver` and `sample` are
for tests of a module of handlers, without a server. The others (a Chatwoot emulator, a capturing
sink, a load generator) depend on nothing of the gateway but its words and Chatwoot's rules: what
they find out about a gateway, they find out from outside.
"""

from comporta.testing.bots import Outcome, deliver, sample

__all__ = ["Outcome", "deliver", "sample"]
