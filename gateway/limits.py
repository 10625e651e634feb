"""Every limit of `gateway/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# jsonrpc
METHOD_CHARACTERS_MAX = 64
ID_CHARACTERS_MAX = 256

# server
BODY_S_MAX = 30.0  # to send a request's body
HTTP_HEADER_BYTES_MAX = 16 * 1024

# upstream
ANSWER_S_MAX = 30.0  # for anything but a wait, which names its own time
UNDER_WAY_MAX = 512  # questions
WAITS_MAX = 256  # tx_wait under way
RECONNECT_S_MIN = 0.05
RECONNECT_S_MAX = 1.0
