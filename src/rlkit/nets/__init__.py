"""Networks and optimisers over flat parameters."""
