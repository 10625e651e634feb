"""The `mohur` command: a thin file per group of commands, nothing decided here."""
