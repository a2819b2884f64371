"""Videos become shards of training clips."""
