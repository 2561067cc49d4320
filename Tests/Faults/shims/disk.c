// Makes the n-th change to files under a folder fail, or the n-th read. Preloaded into the node, it stands before every library, SQLite's too.
//
// FAULT_FOLDER names the folder; FAULT_CONTROL a file of struct control, which the driver maps and changes while the node runs;
// FAULT_UNREADABLE, where set, the name of a file of which no read succeeds.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
    uint64_t reads;  // whether reads count, in place of changes
    uint64_t count;  // so far
    uint64_t fails;  // the number of the first that fails; 0 none
    uint64_t error;  // the errno it fails with
    uint64_t lasts;  // whether all after it fail as well
    uint64_t failed; // how many did
};

static struct control *control;
static char folder[PATH_MAX];
static size_t folder_length;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FAULT_CONTROL"), *root = getenv("FAULT_FOLDER");
    if (path == NULL || root == NULL || realpath(root, folder) == NULL) return;
    folder_length = strlen(folder);
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *memory = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) control = memory;
}

/// Counts a change to a path, or a read, and says whether it is to fail.
static int access_fails(const char *path, int reads) {
    if (control == NULL || path == NULL || strncmp(path, folder, folder_length) != 0) return 0;
    const char *unreadable = getenv("FAULT_UNREADABLE"), *name = strrchr(path, '/');
    if (reads && unreadable != NULL && strcmp(name + 1, unreadable) == 0) {
        errno = EIO;
        return 1;
    }
    if (control->reads != (uint64_t)reads) return 0;
    const uint64_t number = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST), first = __atomic_load_n(&control->fails, __ATOMIC_SEQ_CST);
    if (first == 0 || number < first || (number > first && !control->lasts)) return 0;
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
    errno = (int)control->error;
    return 1;
}

static int fails(const char *path) { return access_fails(path, 0); }

static int descriptor_access_fails(int descriptor, int reads) {
    if (control == NULL) return 0;
    const int before = errno;
    char name[32], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    const ssize_t length = readlink(name, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    return access_fails(path, reads);
}

static int descriptor_fails(int descriptor) { return descriptor_access_fails(descriptor, 0); }

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_DESCRIPTOR(type, name, parameters, arguments) \
    type name parameters { return descriptor_fails(descriptor) ? (type)-1 : NEXT(name) arguments; }

ON_DESCRIPTOR(ssize_t, write, (int descriptor, const void *bytes, size_t count), (descriptor, bytes, count))
ON_DESCRIPTOR(ssize_t, pwrite, (int descriptor, const void *bytes, size_t count, off_t at), (descriptor, bytes, count, at))
ON_DESCRIPTOR(ssize_t, pwrite64, (int descriptor, const void *bytes, size_t count, off64_t at), (descriptor, bytes, count, at))
ON_DESCRIPTOR(ssize_t, writev, (int descriptor, const struct iovec *parts, int count), (descriptor, parts, count))
ON_DESCRIPTOR(int, fsync, (int descriptor), (descriptor))
ON_DESCRIPTOR(int, fdatasync, (int descriptor), (descriptor))
ON_DESCRIPTOR(int, ftruncate, (int descriptor, off_t length), (descriptor, length))
ON_DESCRIPTOR(int, ftruncate64, (int descriptor, off64_t length), (descriptor, length))
ON_DESCRIPTOR(int, fallocate, (int descriptor, int mode, off_t at, off_t count), (descriptor, mode, at, count))
ON_DESCRIPTOR(int, fallocate64, (int descriptor, int mode, off64_t at, off64_t count), (descriptor, mode, at, count))

#define READING(name, parameters, arguments) \
    ssize_t name parameters { return descriptor_access_fails(descriptor, 1) ? -1 : NEXT(name) arguments; }

READING(read, (int descriptor, void *bytes, size_t count), (descriptor, bytes, count))
READING(pread, (int descriptor, void *bytes, size_t count, off_t at), (descriptor, bytes, count, at))
READING(pread64, (int descriptor, void *bytes, size_t count, off64_t at), (descriptor, bytes, count, at))
READING(readv, (int descriptor, const struct iovec *parts, int count), (descriptor, parts, count))

DIR *opendir(const char *path) { return access_fails(path, 1) ? NULL : NEXT(opendir)(path); }
struct dirent *readdir(DIR *directory) { return descriptor_access_fails(dirfd(directory), 1) ? NULL : NEXT(readdir)(directory); }

// These return the error.
int posix_fallocate(int descriptor, off_t at, off_t count) { return descriptor_fails(descriptor) ? (int)control->error : NEXT(posix_fallocate)(descriptor, at, count); }
int posix_fallocate64(int descriptor, off64_t at, off64_t count) { return descriptor_fails(descriptor) ? (int)control->error : NEXT(posix_fallocate64)(descriptor, at, count); }

int rename(const char *from, const char *to) { return fails(to) ? -1 : NEXT(rename)(from, to); }
int renameat(int a, const char *from, int b, const char *to) { return fails(to) ? -1 : NEXT(renameat)(a, from, b, to); }
int link(const char *from, const char *to) { return fails(to) ? -1 : NEXT(link)(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) { return fails(to) ? -1 : NEXT(linkat)(a, from, b, to, flags); }
int mkdir(const char *path, mode_t mode) { return fails(path) ? -1 : NEXT(mkdir)(path, mode); }

#define OPENING(name)                                                          \
    int name(const char *path, int flags, ...) {                               \
        va_list more;                                                          \
        va_start(more, flags);                                                 \
        const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                                          \
        if ((flags & O_CREAT) && access(path, F_OK) != 0 && fails(path)) return -1; \
        return NEXT(name)(path, flags, mode);                                  \
    }
OPENING(open)
OPENING(open64)
