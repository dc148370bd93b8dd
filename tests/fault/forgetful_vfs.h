/* The SQLite VFS that forgets what was not synced; forgetful_vfs.c says how. It registers itself. */
#pragma once

/* The name under which it is registered. A program that takes this code from an archive has to refer to it, or the linker leaves it out. */
extern const char forgetful_vfs_name[];
