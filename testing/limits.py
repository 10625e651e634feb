"""Every limit of `testing/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# engines
ROUNDS_AFTER_FAULTS_MAX = 4  # a height is decided within so many rounds once faults cease

# liars
LIES_MAX = 300  # messages that a liar reacts to: the honest answer each of its lies, which would never end
RECORDING_BYTES_MAX = 1024 * 1024  # a recorded chain that every Python replays

# fuzz
FUZZ_MEMORY_FACTOR = 64  # bytes that a decoder may hold for each byte that came
FUZZ_MEMORY_SPARE = 256 * 1024
