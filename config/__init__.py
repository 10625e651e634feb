"""What an operator writes: genesis, settings, keys, certificates; loaded, checked, made plain values."""
