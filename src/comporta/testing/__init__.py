"""Tools for trying out a gateway: a Chatwoot emulator, a capturing sink, a load generator.

They are public, so that whoever builds on Comporta can test with them, and depend on nothing of the
gateway but its words and Chatwoot's rules: what they find out about a gateway, they find out from
outside.
"""
