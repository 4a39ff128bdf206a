"""Lessons of public warnings that take people and nations: scenarios with assertions, rehearsed by three whole pipelines."""
