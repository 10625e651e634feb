"""Every limit of `node/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# blockcache
BLOCKS_MAX = 128
BLOCKCACHE_BYTES_MAX = 256 * 1024 * 1024

# driver
INBOX_MAX = 1024
VOTES_OF_PEER_MAX = 64  # in the inbox at once, certificates too; then that peer's reader waits
BLOCKS_OF_PEER_MAX = 2  # proposals, which carry blocks
SEEN_MAX = 4096  # messages of a height that are known without verifying them again

# doubts
DOUBTED_MAX = 256  # proposers and peers that did with a block what no honest node does
DOUBT_BLOCKS = 1_000  # for which what they bring is looked at last

# examiner
DONE_HERE_BYTES_MAX = 8 * 1024  # a block above it is opened and checked off the event loop
OPENINGS_OF_PEER_MAX = 2  # blocks of one peer that wait to be opened

# gossip
REGOSSIP_FIRST_S = 2.0  # a transaction that waits is told again, then after twice as long
REGOSSIP_LAST_S = 60.0
REGOSSIP_BYTES_MAX = 256 * 1024  # told again at once, each second

# health
STALLED_MS_MIN = 3_000  # no block for longer than this, or than the idle interval three times over

# indexing
UNINDEXED_ROWS_MAX = 1_048_576  # postings and events in memory that wait for the index, 25 to 34 MB

# intake
INTAKE_BYTES_OF_PEER_MAX = (
    4 * 1024 * 1024
)  # that wait to be looked at, each transaction with INTAKE_ITEM_BYTES
INTAKE_ITEM_BYTES = 256  # that a transaction counts for beside its own
INTAKE_OF_SIGNER_MAX = 64  # transactions of one signer that wait in the line of one peer
INTAKE_TURN_BYTES = 64 * 1024  # of a peer that has no fines; with n fines it is 1/(1+n) of that
FINES_MAX = 1_000
FINES_HALVE_S = 10.0

# local
LOCAL_CONNECTIONS_MAX = 16
QUEUE_MAX = 64  # requests of one connection read but not yet begun
LOCAL_WAITERS_MAX = 256  # tx_wait of one connection
FRAMED_HERE_BYTES_MAX = 256 * 1024  # a larger answer is framed off the event loop
GATEWAYS_PERCENT_MAX = 50  # of one core's time, for all that gateways read
GATEWAYS_S_MAX = 1.0  # of such time that may be used ahead
SEND_S_MAX = 10.0  # a gateway that does not read for so long is hung up on

# mempool
MEMPOOL_TRANSACTIONS_MAX = 100_000
MEMPOOL_BYTES_MAX = 64 * 1024 * 1024
PER_SIGNER_MAX = 64  # as many as the replay window holds
OWNER_BYTES_MAX = 256 * 1024  # of a client's own key that wait: one largest transaction
SETTLEMENT_BYTES_MAX = 16 * 1024 * 1024  # of a VASP's settlement key: 64 of them
OFFICER_BYTES_MAX = 1024 * 1024
GROUP_PART = 4  # a VASP with all its clients has so great a part of the pool's bytes: a quarter
AGED_BLOCKS = 256  # what has waited for so many blocks is the first to make room
EVICTED_MAX = 64  # transactions that make room for one
VERIFIED_MAX = 200_000

# pace
PACE_PART_MIN = 1 / 16  # of block_cost, which a block of ours may use however many rounds have failed
PACE_HALVINGS_MAX = 4  # of what we propose, after rounds of one height that failed

# peers
PEERS_CONNECTIONS_MAX = 64
STRANGERS_MAX = 64  # connections at once that have not said hello
HANDSHAKES_MAX = 128  # connections at once that have not even shown a certificate
FAREWELL_BYTES_MAX = 64 * 1024  # read from a peer that was refused, while it hears why

# view
DECODED_BLOCKS_MAX = 8
DECODED_BYTES_MAX = 128 * 1024  # of the transactions of one of them

# proofs
PROOF_S_MAX = 10.0  # for the next block, which certifies the state that a proof shows

# replica
OUTSTANDING_MAX = 16  # pieces of evidence against one validator that wait for a block

# sync
SYNC_WINDOW = 128  # heights asked for ahead of ours
WINDOW_BYTES_MAX = 64 * 1024 * 1024  # downloaded and not yet applied
DISTRUST_MS_MAX = 640_000
REPLY_BYTES_MAX = 2 * 1024 * 1024  # of a response; it always holds one block

# waiting
WAITING_WAITERS_MAX = 8192
