"""The offline model: rules behind an OpenAI-compatible endpoint, for demonstrations, tests, outages."""

from holdfast.llm.offline.transport import MODEL, OfflineTransport

__all__ = ["MODEL", "OfflineTransport"]
