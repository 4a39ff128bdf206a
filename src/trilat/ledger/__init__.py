"""What left, to whom, under which rule: read from the store, between the stages and the node."""
