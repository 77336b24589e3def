"""What agent builders write against: subgraph, action, package, `propose`, and the model that they call."""
