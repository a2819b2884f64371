"""Shards become a teacher, and a teacher becomes a few-step student."""
