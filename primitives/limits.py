"""Every limit of `primitives/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# codec
CODEC_DEPTH_MAX = 16

# merkle
MERKLE_DEPTH_MAX = 10  # 16**10 leaves; no path of a proof is longer
