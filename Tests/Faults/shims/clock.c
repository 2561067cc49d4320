// Moves the wall clock of the process it is preloaded into, while that runs: by so many seconds as stand in the file FAULT_CLOCK.
// The monotonic clock, and what waits by it, goes on as it was: so does a machine whose clock is set.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FAULT_CLOCK");
    const int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *memory = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED) offset = memory;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t clock, struct timespec *time) {
    const int result = NEXT(clock_gettime)(clock, time);
    if (result == 0 && offset != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *offset;
    return result;
}

int gettimeofday(struct timeval *restrict moment, void *restrict zone) {
    const int result = NEXT(gettimeofday)(moment, zone);
    if (result == 0 && offset != NULL) moment->tv_sec += *offset;
    return result;
}

time_t time(time_t *moment) {
    time_t now = NEXT(time)(NULL);
    if (offset != NULL) now += *offset;
    if (moment != NULL) *moment = now;
    return now;
}
