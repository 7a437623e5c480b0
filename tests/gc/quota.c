/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota.c: how many processors a control group's quota allows, from files as the kernel has them,
 * of both versions of control groups; how many threads bound to one each have together. Exit 0: as
 * expected.
 */
#define _GNU_SOURCE
#include "../../nogil/gc/processors.c"

#include "check.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>

static char root[64] = "/tmp/tally-quota-XXXXXX";

static void put(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        check(mkdir(path, 0700) == 0 || errno == EEXIST);
        *at = '/';
    }
    FILE *file = fopen(path, "w");
    check(file && fputs(text, file) >= 0 && fclose(file) == 0);
}
static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *at) {
    return remove(path);
}
static void expect(const char *what, const char *membership, unsigned wanted) {
    char file[128], hierarchy[128];
    put("membership", membership);
    snprintf(file, sizeof file, "%s/membership", root);
    snprintf(hierarchy, sizeof hierarchy, "%s/cgroup", root);
    unsigned got = tally_quota(file, hierarchy);
    check_that(got == wanted, "%s: %u processors, not %u", what, got, wanted);
}

static int threads_of_this_process(void) {
    DIR *threads = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *entry; threads && (entry = readdir(threads));)
        count += entry->d_name[0] != '.';
    if (threads) closedir(threads);
    return count;
}

/* Binds itself to the processor given, and waits until main has counted. */
static pthread_barrier_t bound;
static void *bind(void *processor) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CPU_SET(*(int *)processor, &mask);
    check(sched_setaffinity(0, sizeof mask, &mask) == 0);
    pthread_barrier_wait(&bound);
    pthread_barrier_wait(&bound);
    return NULL;
}

/* Main is bound to the first processor, another thread to the last. Skips on one processor. */
static void threads_bound_to_one_processor_each(void) {
    cpu_set_t before;
    check(sched_getaffinity(0, sizeof before, &before) == 0);
    int first = -1, last = -1;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &before)) first = first < 0 ? i : first, last = i;
    if (first == last) {
        puts("one processor: threads bound to one each are not tried");
        return;
    }
    pthread_t other;
    pthread_barrier_init(&bound, NULL, 2);
    check(pthread_create(&other, NULL, bind, &last) == 0);
    pthread_barrier_wait(&bound);
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CPU_SET(first, &mask);
    check(sched_setaffinity(0, sizeof mask, &mask) == 0);
    if (threads_of_this_process() == 2) {
        check_int(in_masks(1 << 20), 2);
        check_int(in_masks(1), 1);
    } else {
        puts("a sanitizer's thread is not bound: threads bound to one processor are not tried");
    }
    pthread_barrier_wait(&bound);
    pthread_join(other, NULL);
    check(sched_setaffinity(0, sizeof before, &before) == 0);
}

int main(void) {
    threads_bound_to_one_processor_each();
    if (!mkdtemp(root)) return 1;
    put("cgroup/cpu.max", "max 100000\n");
    expect("version 2, none", "0::/\n", 0);
    put("cgroup/a/cpu.max", "max 100000\n");
    put("cgroup/a/b/cpu.max", "150000 100000\n");
    put("cgroup/a/b/c/cpu.max", "max 100000\n");
    expect("version 2, its own, rounded up", "0::/a/b\n", 2);
    expect("version 2, of a group above", "0::/a/b/c\n", 2);
    expect("version 2, beside", "0::/a\n", 0);
    put("cgroup/a/b/cpu.max", "20000 100000\n");
    expect("version 2, less than one", "0::/a/b\n", 1);
    put("cgroup/a/cpu.max", "300000 100000\n");
    put("cgroup/a/b/cpu.max", "600000 100000\n");
    expect("version 2, the lowest", "0::/a/b\n", 3);
    put("cgroup/cpu.max", "400000 100000\n");
    expect("version 2, a path that this container does not see", "0::/elsewhere/x\n", 4);
    put("cgroup/cpu.max", "nonsense\n");
    expect("version 2, a file that says nothing", "0::/elsewhere/x\n", 0);

    put("cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "250000\n");
    put("cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    expect("version 1", "5:memory:/job\n4:cpu,cpuacct:/job\n0::/\n", 3);
    put("cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
    expect("version 1, none", "4:cpu,cpuacct:/job\n", 0);
    put("cgroup/cpu/job/cpu.cfs_quota_us", "100000\n");
    put("cgroup/cpu/job/cpu.cfs_period_us", "50000\n");
    expect("version 1, by its short name", "4:cpuacct,cpu:/job\n", 2);
    expect("version 1, other controllers", "4:cpuset:/job\n3:cpuacct:/job\n", 0);
    expect("lines without colons", "nonsense\n\n:\n", 0);
    char line[6000];
    memset(line, 'x', sizeof line);
    memcpy(line, "0::/", 4);
    line[sizeof line - 1] = '\0';
    expect("a path that is too long", line, 0);
    check_int(tally_quota("/nowhere", "/nowhere"), 0);
    check(tally_processors() >= 1);
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return check_failures() != 0;
}
