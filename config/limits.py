"""Every limit of `config/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# errors
VALUE_SHOWN_MAX = 80  # characters of a wrong value that a message repeats
FILE_BYTES_MAX = 4 * 1024 * 1024

# keys
KEY_FILE_BYTES_MAX = 16 * 1024
PASSPHRASE_BYTES_MIN = 12
PASSPHRASE_BYTES_MAX = 1023  # OpenSSL's own limit for a PEM passphrase

# encryption: scrypt takes 128 * cost * block bytes
SCRYPT_COST = 16_384
SCRYPT_BLOCK = 8
SCRYPT_LANES = 1

# pki
TLS_CERTIFICATE_BYTES_MAX = 16 * 1024

# settings
PEERS_MAX = 256
SOCKET_PATH_BYTES_MAX = 107  # sun_path holds 108 with its closing NUL

# sparing
SUBJECTS_MAX = 256  # things said at most once a minute that are remembered
SUBJECTS_A_MINUTE_MAX = 16  # to which one and the same thing happens, that are spoken of
