/* Comparing the database with the media storage, both ways: what the one says is in the other, and what is in the other belongs to something.
 *
 * Memory is bounded by a page, whatever the storage holds. Keys begin with ids in decimal, whose order as text is not that of numbers, so the two sides are
 * not merged: a page of the storage's listing is looked up in the table by its ids, and a page of the table is asked of the storage object by object,
 * several at once, which tells each ETag as well. It changes nothing in the database and may run beside a server: what may still be on its way is not
 * judged, and what looks wrong is looked at again before it is reported. */
#pragma once

#include "core/config.h"
#include "db/store.h"
#include "media/storage.h"

enum fsck_kind {
    FSCK_MISSING,  /* media that can be used, without its object: nothing can bring it back */
    FSCK_MISMATCH, /* its object is not what was uploaded: another size or ETag */
    FSCK_ORPHAN,   /* an object without a row; to repair is to delete it */
    FSCK_UPLOAD,   /* a multipart upload that nobody will complete; to repair is to abort it */
    FSCK_KINDS
};

struct fsck_finding {
    enum fsck_kind kind;
    const char *key;
    const char *detail; /* a few words; may be "" */
    bool repaired;
};

/* What was looked at, and what was found. */
struct fsck_tally {
    uint64_t objects;
    uint64_t foreign; /* of these: keys of a shape that is not ours; they are left alone */
    uint64_t rows;
    uint64_t uploads;
    uint64_t found[FSCK_KINDS];
    uint64_t repaired[FSCK_KINDS];
};

struct fsck {
    const struct config *config;
    struct store *store; /* store_inspect() will do */
    struct storage *storage;
    bool repair;
    void (*report)(void *context, const struct fsck_finding *finding); /* the finding is borrowed */
    void (*progress)(void *context, const struct fsck_tally *tally);   /* after every page */
    void *context;
};

/* Blocks. Errors are the store's or the storage's; the tally says how far it came. */
enum err fsck_run(const struct fsck *fsck, struct fsck_tally *tally) MUST_USE;
