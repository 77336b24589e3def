"""The model client: the openai SDK, a chain of providers, a ledger of calls, prices, the offline model."""
