"""What a turn costs: Holdfast beside the floor, LangGraph's Temporal plugin and its Postgres saver."""
