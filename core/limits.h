/* Every fixed limit, with its unit. What an operator may change is in core/config.c instead. */
#pragma once

#include <assert.h>
#include <stdint.h>

/* Requests */
#define LIMIT_HEAD_BYTES (8 * 1024)
#define LIMIT_BODY_BYTES (64 * 1024)
#define LIMIT_MESSAGE_BODY_BYTES (1300 * 1024) /* 100,000 characters, each a surrogate pair of escapes (12 bytes), and the rest */
#define LIMIT_REQUEST_ARENA_BYTES (8 * 1024 * 1024)
#define LIMIT_HELD_BYTES (256 * 1024 * 1024) /* bodies and answers of all requests together */
#define LIMIT_PAGE_BYTES (1024 * 1024)       /* of messages in one page, but always one message */
#define LIMIT_JSON_DEPTH 16
#define LIMIT_JSON_COMMAS 8192 /* a body's values, but for one: parsing costs by the value, on the loop's thread */

/* Text, in Unicode characters unless said otherwise */
#define LIMIT_TEXT_CHARACTERS 100000
#define LIMIT_TITLE_CHARACTERS 128
#define LIMIT_DESCRIPTION_CHARACTERS 512
#define LIMIT_NAME_CHARACTERS 64
#define LIMIT_USERNAME_MIN_BYTES 3
#define LIMIT_USERNAME_BYTES 32
#define LIMIT_PASSWORD_MIN_BYTES 8
#define LIMIT_PASSWORD_BYTES 256
#define LIMIT_KEY_BYTES 128 /* Idempotency-Key */
#define LIMIT_NODE_BYTES 64 /* PARLEY_NODE */
#define LIMIT_CLIENT_KEY_CHARACTERS 64
#define LIMIT_DRAFT_CHARACTERS 10000

/* Chats */
#define LIMIT_SLOW_MODE_MS (INT64_C(3600) * 1000) /* the longest pause between two messages of a member */
#define LIMIT_LINKS_PER_CHAT 100                  /* invitation links that work at once */
#define LIMIT_LINK_MIN_MS 60000
#define LIMIT_LINK_MS (INT64_C(366) * 24 * 3600 * 1000)
#define LIMIT_LINK_USES 100000
#define LINK_KEPT_MS (INT64_C(7) * 24 * 3600 * 1000) /* after its end, so that who comes late is told so */
#define LIMIT_JOIN_REQUESTS_PER_CHAT 1000
#define LIMIT_BANS_PER_CHAT 10000

/* People, of one user */
#define LIMIT_BLOCKS 1000
#define LIMIT_CONTACTS 5000

/* Reports */
#define LIMIT_REPORT_CHARACTERS 500                     /* of a reason, and of what is noted when one is closed */
#define LIMIT_REPORTS 10000                             /* open ones */
#define LIMIT_REPORTS_PER_USER 20                       /* of these */
#define LIMIT_REPORTS_PER_DAY 50                        /* that one user makes */
#define LIMIT_REPORT_TEXT_BYTES (16 * 1024)             /* of the message's text that is copied */
#define LIMIT_REPORTS_PAGE 100                          /* read at once for an administrator */
#define REPORT_KEPT_MS (INT64_C(90) * 24 * 3600 * 1000) /* after it was closed */

/* Messages */
#define LIMIT_MENTIONS 50   /* in one message */
#define LIMIT_PINS 50       /* pinned messages of one chat */
#define LIMIT_REVISIONS 100 /* earlier texts of one message: the last ones */
#define LIMIT_REACTIONS 20  /* different emoji at one message */
#define LIMIT_EMOJI_BYTES 32
#define LIMIT_FORWARD_BYTES (LIMIT_TEXT_CHARACTERS * 4) /* of a text that is copied: so much a batch counts for it */

/* Scheduled messages */
#define LIMIT_SCHEDULED 100                                 /* of a member in a chat, those that failed included */
#define LIMIT_SCHEDULE_MS (INT64_C(366) * 24 * 3600 * 1000) /* so far ahead */
#define LIMIT_FOLLOWERS_AT_ONCE 500                         /* of a channel, by one command: each makes an event */
#define LIMIT_SCHEDULE_BATCH 64                             /* handed to the writer at once */
#define LIMIT_SCHEDULE_LOOK_MS 5000 /* the next one is looked for at least so often: another node, or a clock, may have moved it */
#define LIMIT_SCHEDULE_ARENA_BYTES (32 * 1024 * 1024)

/* Lists */
#define LIMIT_PAGE_ITEMS 100
#define LIMIT_PAGE_ITEMS_DEFAULT 50
#define LIMIT_MEMBERS_PAGE_ITEMS 1000
#define LIMIT_MEMBERS_PAGE_ITEMS_DEFAULT 100

/* The writer */
#define LIMIT_BATCH_COMMANDS 512
#define LIMIT_BATCH_BYTES (4 * 1024 * 1024)
#define LIMIT_QUEUE_BYTES (64 * 1024 * 1024)
#define LIMIT_BATCH_ARENA_BYTES (256 * 1024 * 1024)
/* The file of the write-ahead log is made longer by as much at once. */
#define LIMIT_WAL_EMPTY_BYTES (2 * 1024 * 1024)
#define LIMIT_BATCH_ATTEMPTS 20      /* at a batch that is in others' way, */
#define LIMIT_BATCH_PATIENCE_MS 5000 /* and none is begun after that */
#define LIMIT_SETTLE_MS 6000         /* finding out what became of a commit: longer than the server keeps a transaction that nobody ends */
#define LIMIT_TRIAL_PAUSE_MS 1000    /* between two looks whether a database that failed takes writes again */
#define LIMIT_CACHED_ROWS 65536      /* chats and stays that the writer remembers, about 20 MB */
#define LIMIT_WAL_PAGES 12000        /* checkpoint beyond: 48 MB of 4 KiB pages, each written once for several changes */
#define LIMIT_WAL_REST_PAGES 256     /* of these, as many are moved while posts wait */
#define LIMIT_WAL_AHEAD_PAGES 24000  /* posts wait for a checkpoint when the log is so much longer */
#define LIMIT_QUIET_COMMITS 32       /* in a second: with more of them the log is not truncated where that can wait */
#define LIMIT_SWEEP_ROWS 100         /* rows one cleanup command touches, in 1 or 2 ms for which posts wait */
#define LIMIT_SWEEP_EVENTS 300       /* of the log, where neighbours share most of the pages that go, */
#define LIMIT_SWEEP_OWNERS 100       /* and of as many chats and users: each has a page of its own in an index */
#define LIMIT_SWEEP_OBJECTS 200      /* media that one cleanup step dooms, deletes and forgets */

/* Marks: how far users have read, and what their devices have */
#define LIMIT_MARKS (64 * 1024)          /* in memory, 6 MB */
#define LIMIT_MARKS_AT_ONCE 1024         /* written by one batch, some ms on MariaDB */
#define MARKS_PAUSE_MS 1000              /* between two writes of the same one */
#define MARKS_KEPT_MS 10000              /* in memory after that: longer than a reader keeps a snapshot */
#define LIMIT_RECEIPTS_QUEUE (16 * 1024) /* marks that moved, of which others are still to be told */
#define LIMIT_RECEIPTS_ROUND 128         /* told of in one snapshot */
#define LIMIT_RECEIPT_CHATS 32           /* that are told of one user's delivered mark at once */
#define LIMIT_REACTION_NOTES 4096        /* messages of channels whose reactions are still to be told */
#define LIMIT_REACTION_PAUSE_MS 1000     /* a message's are told no more often */
#define LIMIT_RECEIPT_POSITIONS 65536    /* of the log: messages from before are not looked for then */

/* Backups */
#define LIMIT_BACKUP_PAGE_ROWS 128                     /* read at once: 50 MB when all are of the longest text */
#define LIMIT_BACKUP_BLOCK_BYTES (1024 * 1024)         /* of rows, after which a block ends */
#define LIMIT_BACKUP_BLOCK_BYTES_MAX (4 * 1024 * 1024) /* with a long row at its end */
#define LIMIT_BACKUP_BLOCK_ROWS 8192

/* Media */
#define LIMIT_ATTACHMENTS 10 /* of one message */
#define LIMIT_FILE_NAME_BYTES 255
#define LIMIT_KEY_PREFIX_BYTES 200 /* of all keys in the storage */
#define LIMIT_BLURHASH_CHARACTERS 128
#define LIMIT_PIXELS 100000                          /* of a picture's side */
#define LIMIT_PARTS_PAGE 100                         /* parts signed or listed in one answer */
#define LIMIT_STORAGE_THREADS 8                      /* for what waits on the storage */
#define LIMIT_STORAGE_QUEUE 256                      /* requests waiting for one */
#define LIMIT_STORAGE_ANSWER_BYTES (4 * 1024 * 1024) /* of the storage's XML */
#define LIMIT_BLOB_BLOCK_BYTES (64 * 1024)           /* read from a local object at once */
#define LIMIT_BLOBS 512                              /* transfers of local objects at once: a file and a block each */
#define LIMIT_BLOBS_PER_ADDRESS (LIMIT_BLOBS / 4)    /* of one client, which may be as slow as it likes */
#define LIMIT_BLOB_COPIES 8                          /* the same file or part received at once: only one of them was reserved */
#define LIMIT_AMZ_HEADERS 8                          /* of a presigned request */
#define LIMIT_MESSAGE_TTL_MIN_MS 1000
#define LIMIT_MESSAGE_TTL_MS (INT64_C(366) * 24 * 3600 * 1000)

/* Idempotency keys: kept for the running and the two periods before it, so at least IDEMPOTENCY_PERIOD_MS * 2 = 7 days. */
#define IDEMPOTENCY_PERIOD_MS (INT64_C(84) * 3600 * 1000)
#define IDEMPOTENCY_PERIODS 3
#define LIMIT_INDEX_LAG \
    16384 /* positions by which the index of events by owner may be behind the log; changing it takes a step of the schema */
#define LIMIT_RECENT_EVENTS 65536 /* of the log, in memory: these, and as many as may come while a reader looks; a power of two */
#define LIMIT_KEY_RUN 32768       /* keys of a run, which the recent ones become: 3 MB of memory, some ms for which posts wait */
#define KEY_RUN_PART_KEYS 32      /* of a run, in one row, on average: a kilobyte */
#define KEY_RUN_PARTS_MAX 65536   /* of a run */

/* Streams */
#define LIMIT_RING_EVENTS 65536
#define LIMIT_RING_BYTES (32 * 1024 * 1024)
#define LIMIT_REPLAY_EVENTS 256         /* events in one page of a replay */
#define LIMIT_REPLAY_BYTES (256 * 1024) /* bytes after which a page ends */
#define LIMIT_REPLAYS_AT_ONCE 32
#define LIMIT_STREAM_SEND_BUFFER_BYTES (64 * 1024)
#define LIMIT_PARTIAL_BYTES (64 * 1024 * 1024) /* of half-sent frames over all streams */
#define LIMIT_RESERVED_DESCRIPTORS 700         /* never given to streams */
#define LIMIT_TICK_FRAMES 1024                 /* of the log applied before the streams they concern are written to */
#define LIMIT_TICK_PENDING (128 * 1024)        /* frames waiting for streams after which these are written to */
#define LIMIT_TURN_SOCKETS 256                 /* what one turn of the hub's loop does at most: ready sockets, */
#define LIMIT_TURN_OPENINGS 256                /* new streams, */
#define LIMIT_TURN_CATCH_UPS 256               /* streams that catch up, */
#define LIMIT_TURN_SCAN 2048                   /* positions of the ring looked at for one of them, */
#define LIMIT_TURN_TIMERS 1024                 /* timers, */
#define LIMIT_WRITE_FRAMES 128                 /* frames in one sendmsg(); at most IOV_MAX */
#define LIMIT_STREAM_INPUT_BYTES (64 * 1024)   /* thrown away after the request, then the stream is closed */
#define LIMIT_REPLACED_BYTES (1024 * 1024)     /* written anew in the ring for one edit or deletion; */
#define LIMIT_REPLACED_FRAMES 64               /* what is older is forgotten, and read from the store */
#define LIMIT_STAYS_BYTES (32 * 1024 * 1024)   /* of one user's stays while they are read */
#define LIMIT_REMOVED_DEVICES 4096             /* remembered by the hub, for streams that open at that moment */

/* Whispers */
#define LIMIT_WHISPER_BYTES 8192 /* of one's object */
#define LIMIT_WHISPER_TYPE_BYTES 32
#define LIMIT_WHISPERS_WAITING 1024                        /* for the hub */
#define LIMIT_WHISPERS_COMMIT_BYTES (LIMIT_RING_BYTES / 4) /* of commits waiting for the hub, beyond which it passes no whisper on */
#define LIMIT_TURN_WHISPERS 256                            /* that the hub passes on in one turn */
#define LIMIT_BUS_WHISPERS_BYTES (64 * 1024)               /* of whispers waiting to be sent to other nodes: as many leave at once */

/* The API */
#define LIMIT_QUERY_ARGUMENTS 12
#define LIMIT_ANSWER_HEADERS 20
#define LIMIT_PLAIN_ANSWER_BYTES 1024 /* longer ones are compressed, where clients take that: shorter ones are one packet anyway */
#define LIMIT_READER_THREADS 2
#define LIMIT_READER_QUEUE 2048 /* requests waiting for a reader */
#define LIMIT_HASHER_THREADS 2
#define LIMIT_HASHER_QUEUE 64              /* requests waiting for scrypt: tens of milliseconds each */
#define LIMIT_SESSIONS_CACHED (128 * 1024) /* a power of two */
#define LIMIT_RATE_BUCKETS (64 * 1024)     /* a power of two */
#define LIMIT_RATE_NOTES 4096              /* buckets that others are told of at once; a power of two */
#define LIMIT_LINGERING 128                /* closed connections whose last answer must not be cut off by a reset */
#define LIMIT_LINGER_MS 2000
#define LIMIT_LINGER_BYTES (16 * 1024 * 1024)
#define LIMIT_DRAIN_MS 10000

#define LIMIT_TYPISTS (16 * 1024) /* remembered of those who type; a power of two */

#define LIMIT_PRESENCE_IDS 100               /* of one question who is there */
#define LIMIT_PRESENCE_SUBSCRIPTIONS 400     /* the most that PARLEY_PRESENCE_SUBSCRIPTIONS_MAX may be: they fit a whisper */
#define LIMIT_PRESENCE_USERS (128 * 1024)    /* who are there or looked for, on one node */
#define LIMIT_PRESENCE_WATCHES (1024 * 1024) /* subscriptions of all devices, on one node */

/* Sessions */
#define TOUCH_INTERVAL_MS (INT64_C(3600) * 1000) /* a device's last use is stored at most this often */

/* Redis */
#define LIMIT_ENVELOPE_BYTES (256 * 1024) /* of events sent to other nodes at once: a larger commit is divided, a larger event left out */
#define LIMIT_BUS_QUEUE_BYTES (8 * 1024 * 1024)    /* of events waiting to be sent to other nodes; and of those before their turn */
#define LIMIT_REDIS_ANSWER_BYTES (4 * 1024 * 1024) /* of one answer or message: whoever sends more is hung up on */

/* Tickets */
#define LIMIT_TICKETS_PER_DEVICE 8
#define TICKET_FIRST_USE_MS 30000

static_assert(LIMIT_MESSAGE_BODY_BYTES >= LIMIT_TEXT_CHARACTERS * 12 + 4096, "the longest text fits its body");
static_assert(LIMIT_BLOBS < LIMIT_RESERVED_DESCRIPTORS, "transfers take no stream's descriptor");
static_assert(LIMIT_ENVELOPE_BYTES < LIMIT_REDIS_ANSWER_BYTES && LIMIT_ENVELOPE_BYTES < LIMIT_BUS_QUEUE_BYTES, "an envelope passes");
static_assert(LIMIT_BUS_WHISPERS_BYTES > 2 * LIMIT_WHISPER_BYTES && LIMIT_BUS_WHISPERS_BYTES < LIMIT_ENVELOPE_BYTES,
              "whispers fit an envelope");
static_assert(LIMIT_WHISPER_BYTES > (LIMIT_PRESENCE_SUBSCRIPTIONS + 1) * 20, "subscriptions fit a whisper");
static_assert(LIMIT_QUEUE_BYTES >= LIMIT_BATCH_BYTES && LIMIT_BATCH_BYTES >= LIMIT_MESSAGE_BODY_BYTES,
              "a command fits a batch, a batch the queue");
