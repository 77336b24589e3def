"""LangChain's side of a brought graph: a chat model that calls through the ledger, actions as tools."""

from holdfast.extras import extra

with extra("worker,langchain", "holdfast.langchain"):
    from holdfast.langchain.chat_model import HoldfastChatModel as HoldfastChatModel
    from holdfast.langchain.tools import as_tool as as_tool

__all__ = ["HoldfastChatModel", "as_tool"]
