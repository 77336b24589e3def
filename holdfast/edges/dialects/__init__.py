"""Approvals and decisions as other reviewers' tools say them: agent-inbox, and LangChain's middleware."""
