"""Every limit of `cli/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# query
CELL_CHARACTERS_MAX = 64
COLUMNS_MAX = 12  # of a list; items with more fields are printed one under the other
