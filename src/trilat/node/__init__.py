"""The node: the only place that composes the stages into one running whole."""
