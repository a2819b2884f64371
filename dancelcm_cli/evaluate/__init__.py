"""Videos become a report of how close they are to the truth."""
