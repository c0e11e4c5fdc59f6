"""All that knows Chatwoot: the shapes of its payloads, its signature, its manners."""
