"""A local network of real node processes: start it, torment it, show it."""
