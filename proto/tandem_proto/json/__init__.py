"""JSON of the contract's messages, both ways: what REST bodies, webhooks and NDJSON rows are made of."""
