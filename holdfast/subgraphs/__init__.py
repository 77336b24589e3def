"""The contract that a LangGraph graph fulfils, its runner and checkpointer, and the built-in graphs."""
