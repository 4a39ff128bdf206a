"""What leaves, and when, beyond plain release: what an agreement delays, and the doors that people open by signed events."""
