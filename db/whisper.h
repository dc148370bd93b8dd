/* Whispers: what people are told of while it lasts, and what is in no log: somebody types, is there, has read.
 *
 * A whisper has no id, is stored nowhere, and may be lost: whoever missed one reads the state. This is what one is, how it looks on a stream, and how its
 * loss is counted; on its way to streams it is stream/whisper.h's, and to other nodes the bus's. Pure, but for the metric. */
#pragma once

#include "core/metrics.h"
#include "db/render.h"

enum whisper_target {
    WHISPER_CHAT = 1,  /* the members of the chat */
    WHISPER_USER = 2,  /* the user, on all devices */
    WHISPER_NODES = 3, /* no stream: the nodes themselves, about the user */
};

struct whisper {
    enum whisper_target target;
    uint64_t target_id;
    uint64_t except_user_id; /* is not told; 0: nobody */
    const char *type;        /* "typing": a-z, '.' and '_' */
    const char *json;        /* one object without `type`, which is put first on the wire; on one line */
    size_t json_size;        /* bytes */
};

/* Whether it is well-formed, within LIMIT_WHISPER_BYTES, and for somebody. What a part of the program sends has to be; what others send is asked. */
bool whisper_is_sound(const struct whisper *whisper);

/* As a stream sends it, once for all: without `id:`, so its id is 0. One reference; NULL when out of memory. */
struct frame *whisper_frame(const struct whisper *whisper) MUST_USE;

/* Where those of a type, and of "type.something", are counted that were dropped here, on their way to streams or to other nodes. */
enum counter whisper_drop_counter(const char *type);
void whisper_count_dropped(const char *type);
