"""Notifications of approvals to the outside: signed webhooks and e-mail."""
