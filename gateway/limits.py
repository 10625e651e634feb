"""Every limit of `gateway/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# jsonrpc
METHOD_CHARACTERS_MAX = 64
ID_CHARACTERS_MAX = 256
BATCH_UNDER_WAY_MAX = 8  # calls of one batch being answered at once, beside those that wait
BATCH_BYTES_MAX = 16 * 1024 * 1024  # of the answers to one batch
BATCH_S_MAX = 10.0  # after which no further call of a batch is begun

# street
DESCRIPTORS_KEPT_MIN = 64  # of the process's own, which connections never take
ACCEPT_PAUSE_S_MAX = 0.1  # when no connection can be accepted
FAREWELLS_MAX = 32  # who found no place and is being told so, at once; more are hung up on
SHUTDOWN_S_MAX = 2.0  # for what is under way when the gateway stops

# http1
IDLE_S_MAX = 10.0  # without the first byte of a request; a client of ours gives up its own after 5
HEAD_S_MAX = 10.0  # from the first byte of a request to the end of its head
HTTP_HEADER_BYTES_MAX = 16 * 1024  # a head
BODY_S_MAX = 30.0  # to send a request's body
CHUNKS_MAX = 8_192  # pieces in which a body may come
AHEAD_BYTES_MAX = 64 * 1024  # of later requests, read while one is being answered
BODIES_BYTES_MAX = 64 * 1024 * 1024  # of all bodies that are held at once
ANSWERS_BYTES_MAX = 256 * 1024 * 1024  # of all answers that wait to be read by who asked
ANSWER_BYTES_MIN = 32 * 1024 * 1024  # of them one address may have in any case: the largest raw block
SENT_S_MAX = 10.0  # for an answer to be read, and what its size takes at the pace below
SENT_BYTES_PER_S_MIN = 64 * 1024
LINGER_S_MAX = 1.0  # for a last answer to arrive
LINGER_BYTES_MAX = 64 * 1024

# upstream
ANSWER_S_MAX = 30.0  # for anything but a wait, which names its own time
HEALTH_S_MAX = 5.0  # for the node to say how it is: a probe or a scrape that waits longer has given up
UNDER_WAY_MAX = 16  # questions at the node at once, as many as it works on; of one address half
FRAMES_AHEAD_MAX = 64  # to the node, not yet written: the questions under way, and what is withdrawn
RECONNECT_S_MIN = 0.05
RECONNECT_S_MAX = 1.0
