"""What users do with actors, on real processes, under each start method."""
