/* A VFS for the connection that writes: what a commit adds to the write-ahead log goes to the file at once.
 *
 * SQLite writes each page of a commit by two calls, its frame's header and the page, and both cost the kernel more than the bytes do: a frame is 24 bytes
 * longer than a page, so that three pages of the file's cache are looked up for each of the log's. Here consecutive writes wait in a buffer until
 * something else is asked of the file, or the buffer is full.
 *
 * Nobody else may need what waits, and an error must come out where the commit still fails. Hence:
 *   1. Only the log has a buffer, and only at a connection with synchronous=FULL: SQLite syncs the log before it tells the other connections, in the
 *      shared index, how far it goes. What waits is of no committed transaction. So this VFS is not for a connection that does not sync.
 *   2. Nor is there a buffer where the storage below may harm what lies next to a write: SQLite writes after the sync then.
 *   3. The sync first writes what waits; when that fails it fails with the same code, as the write would have.
 *
 * Besides, the file is made longer ahead of the log, LIMIT_WAL_EMPTY_BYTES at once: a sync that has only overwritten something takes half as long as one after
 * which the file system has to remember that the file has grown, too. A log may end before its file does: SQLite goes by the frames, and zeros are none.
 *
 * And while a commit's sync lasts the connection's thread can do something else (struct db_meanwhile): then the sync has a thread of its own.
 *
 * Files have the threads of their connections; sqlite_gather_vfs() may be called by any. */
#pragma once

#include <sqlite3.h>

#include "db/driver.h"

/* Its name for sqlite3_open_v2(); it is over the VFS that is the default when this is called first. NULL, which stands for that default: it could not be made. */
const char *sqlite_gather_vfs(void);
/* The log of `handle`, where it is one of this VFS, goes by the `meanwhile` of `db` from now on. */
void sqlite_gather_for(sqlite3 *handle, const struct db *db);
