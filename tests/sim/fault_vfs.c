/* tests/sim/fault_vfs.c - see fault_vfs.h. */
#include "fault_vfs.h"

#include <string.h>

#include <sqlite3.h>

/* SQLite's own file behind ours. */
typedef struct fault_file {
    sqlite3_file base;
    sqlite3_file *inner;
} fault_file;

static sqlite3_vfs fault_vfs;
static sqlite3_vfs *inner_vfs;
static sqlite3_io_methods methods;
static int64_t writes_left = INT64_MAX;
static int failure;
static bool failed;

static sqlite3_file *inner_of(sqlite3_file *file)
{
    return ((fault_file *)file)->inner;
}

/* SQLITE_OK, or what a write gives now. */
static int spend(void)
{
    if (writes_left > 0) {
        writes_left -= writes_left == INT64_MAX ? 0 : 1;
        return SQLITE_OK;
    }
    failed = true;
    return failure;
}

static int fault_close(sqlite3_file *file)
{
    return inner_of(file)->pMethods->xClose(inner_of(file));
}

static int fault_read(sqlite3_file *file, void *data, int bytes, sqlite3_int64 offset)
{
    return inner_of(file)->pMethods->xRead(inner_of(file), data, bytes, offset);
}

static int fault_write(sqlite3_file *file, const void *data, int bytes, sqlite3_int64 offset)
{
    int code = spend();
    return code == SQLITE_OK ? inner_of(file)->pMethods->xWrite(inner_of(file), data, bytes, offset)
                             : code;
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return inner_of(file)->pMethods->xTruncate(inner_of(file), size);
}

static int fault_sync(sqlite3_file *file, int flags)
{
    int code = spend();
    return code == SQLITE_OK ? inner_of(file)->pMethods->xSync(inner_of(file), flags)
                             : SQLITE_IOERR_FSYNC;
}

static int fault_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return inner_of(file)->pMethods->xFileSize(inner_of(file), size);
}

static int fault_lock(sqlite3_file *file, int level)
{
    return inner_of(file)->pMethods->xLock(inner_of(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
    return inner_of(file)->pMethods->xUnlock(inner_of(file), level);
}

static int fault_check_lock(sqlite3_file *file, int *out)
{
    return inner_of(file)->pMethods->xCheckReservedLock(inner_of(file), out);
}

static int fault_control(sqlite3_file *file, int operation, void *argument)
{
    return inner_of(file)->pMethods->xFileControl(inner_of(file), operation, argument);
}

static int fault_sector(sqlite3_file *file)
{
    return inner_of(file)->pMethods->xSectorSize(inner_of(file));
}

static int fault_device(sqlite3_file *file)
{
    return inner_of(file)->pMethods->xDeviceCharacteristics(inner_of(file));
}

static int fault_map(sqlite3_file *file, int region, int bytes, int extend, void volatile **out)
{
    return inner_of(file)->pMethods->xShmMap(inner_of(file), region, bytes, extend, out);
}

static int fault_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return inner_of(file)->pMethods->xShmLock(inner_of(file), offset, count, flags);
}

static void fault_barrier(sqlite3_file *file)
{
    inner_of(file)->pMethods->xShmBarrier(inner_of(file));
}

static int fault_unmap(sqlite3_file *file, int remove)
{
    return inner_of(file)->pMethods->xShmUnmap(inner_of(file), remove);
}

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    fault_file *own = (fault_file *)file;
    own->inner = (sqlite3_file *)(own + 1);
    memset(own->inner, 0, (size_t)inner_vfs->szOsFile);
    int code = inner_vfs->xOpen(inner_vfs, name, own->inner, flags, out);
    own->base.pMethods = code == SQLITE_OK ? &methods : NULL;
    return code;
}

void fault_vfs_install(void)
{
    inner_vfs = sqlite3_vfs_find(NULL);
    fault_vfs = *inner_vfs;
    fault_vfs.zName = "fault";
    fault_vfs.szOsFile = (int)sizeof(fault_file) + inner_vfs->szOsFile;
    fault_vfs.xOpen = fault_open;
    methods = (sqlite3_io_methods){
        2,
        fault_close,
        fault_read,
        fault_write,
        fault_truncate,
        fault_sync,
        fault_size,
        fault_lock,
        fault_unlock,
        fault_check_lock,
        fault_control,
        fault_sector,
        fault_device,
        fault_map,
        fault_shm_lock,
        fault_barrier,
        fault_unmap,
        NULL,
        NULL,
    };
    sqlite3_vfs_register(&fault_vfs, 1);
}

void fault_vfs_fail_after(int64_t writes, bool full)
{
    writes_left = writes;
    failure = full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    failed = false;
}

void fault_vfs_heal(void)
{
    writes_left = INT64_MAX;
}

bool fault_vfs_failed(void)
{
    return failed;
}
