/* tests/sim/fault_vfs.h - SQLite files whose writes fail when they are told to.
 *
 * Thread-safety: one thread at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Puts itself in front of SQLite's file system for all databases opened from now on. */
void fault_vfs_install(void);
/* The write (or flush to disk) after `writes` more ones fails, and all behind it: the disk is full,
 * or the device fails. */
void fault_vfs_fail_after(int64_t writes, bool full);
void fault_vfs_heal(void);   /* there is space again */
bool fault_vfs_failed(void); /* since the last fail_after */
