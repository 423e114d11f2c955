"""What tests share: actors, gates, faults, waiting, the leak check."""
