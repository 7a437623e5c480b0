/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * processors.c: how many threads of the process can run at once. Not how many processors the
 * machine has: the process may be bound to some of them (taskset, a container's cpuset), and its
 * control group may have a quota of processor time (docker --cpus). A helper without a processor
 * only takes time from the thread that marks.
 *
 * Control groups come in two forms. Version 2 has one tree, with a file cpu.max ("max 100000",
 * "150000 100000": quota and period in microseconds) in each group. Version 1 has a tree for each
 * controller, with the files cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us. The lowest quota on
 * the way up to the root counts. Inside a container the path in /proc/self/cgroup may be one that
 * the container does not see; then the root's files are the container's own.
 */
#define _GNU_SOURCE
#include "processors.h"
#include "tally_atomic.h"
#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH = 2048 };

static bool read_line(const char *path, char *line, int room) {
    FILE *file = fopen(path, "re");
    if (!file) return false;
    bool done = fgets(line, room, file) != NULL;
    fclose(file);
    return done;
}

/* quota / period, rounded up; 0: no quota. */
static unsigned in_processors(long long quota, long long period) {
    if (quota <= 0 || period <= 0) return 0;
    long long n = (quota + period - 1) / period;
    return n < 1 << 20 ? (unsigned)n : 1u << 20;
}

static unsigned quota_of(const char *group, int version) {
    char path[PATH + 32], line[64];
    long long quota, period;
    if (version == 2) {
        snprintf(path, sizeof path, "%s/cpu.max", group);
        return read_line(path, line, sizeof line) && sscanf(line, "%lld %lld", &quota, &period) == 2
                   ? in_processors(quota, period)
                   : 0;
    }
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", group);
    if (!read_line(path, line, sizeof line) || sscanf(line, "%lld", &quota) != 1) return 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", group);
    if (!read_line(path, line, sizeof line) || sscanf(line, "%lld", &period) != 1) return 0;
    return in_processors(quota, period);
}

/* From the group up to the root of its tree. */
static unsigned lowest_quota(const char *tree, const char *group, int version) {
    char path[PATH];
    int root = snprintf(path, sizeof path, "%s", tree);
    if (root < 0 || root >= PATH ||
        snprintf(path + root, sizeof path - (size_t)root, "%s", group) >= PATH - root)
        return 0;
    unsigned lowest = 0;
    for (;;) {
        unsigned quota = quota_of(path, version);
        if (quota && (!lowest || quota < lowest)) lowest = quota;
        char *end = strrchr(path + root, '/');
        if (!end) return lowest;
        *end = '\0';
    }
}

static bool has_cpu(const char *controllers) {
    for (const char *at = controllers; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, "cpu", 3) == 0 && (at[3] == ',' || at[3] == '\0')) return true;
    }
    return false;
}

unsigned tally_quota(const char *membership, const char *hierarchy) {
    FILE *file = fopen(membership, "re");
    if (!file) return 0;
    unsigned lowest = 0;
    char line[PATH];
    while (fgets(line, sizeof line, file)) {
        /* number:controllers:/path */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'),
             *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0';
        controllers++;
        unsigned quota = 0;
        if (*controllers == '\0') {
            quota = lowest_quota(hierarchy, group, 2);
        } else if (has_cpu(controllers)) {
            char tree[PATH + 64];
            snprintf(tree, sizeof tree, "%s/%s", hierarchy, controllers);
            quota = lowest_quota(tree, group, 1);
            snprintf(tree, sizeof tree, "%s/cpu", hierarchy);
            if (!quota) quota = lowest_quota(tree, group, 1);
        }
        if (quota && (!lowest || quota < lowest)) lowest = quota;
    }
    fclose(file);
    return lowest;
}

/* Adds the processors that the thread may use (0: the caller). */
static void add_mask(pid_t thread, cpu_set_t *all, cpu_set_t *room, size_t bytes) {
    CPU_ZERO_S(bytes, room);
    if (sched_getaffinity(thread, bytes, room) == 0) CPU_OR_S(bytes, all, all, room);
}

/*
 * The processors that some thread of the process may use; 0: not known. Not the caller's alone: a
 * program that binds each thread to a processor of its own has helpers on the others. Mostly the
 * first thread may use all that are `online`; else all threads are looked at.
 */
static unsigned in_masks(unsigned online) {
    for (int most = 1024; most <= 1 << 20; most *= 4) {
        cpu_set_t *all = CPU_ALLOC((size_t)most), *room = CPU_ALLOC((size_t)most);
        unsigned count = 0;
        if (all && room) {
            size_t bytes = CPU_ALLOC_SIZE((size_t)most);
            CPU_ZERO_S(bytes, all);
            add_mask(0, all, room, bytes);
            add_mask(getpid(), all, room, bytes);
            count = (unsigned)CPU_COUNT_S(bytes, all);
            DIR *threads = count && count < online ? opendir("/proc/self/task") : NULL;
            for (struct dirent *entry; threads && (entry = readdir(threads));) {
                int thread = atoi(entry->d_name); /* 0: "." and ".." */
                if (thread > 0) add_mask(thread, all, room, bytes);
            }
            if (threads) closedir(threads);
            count = (unsigned)CPU_COUNT_S(bytes, all);
        }
        CPU_FREE(all);
        CPU_FREE(room);
        if (count || !all || !room) return count;
    }
    return 0;
}

static unsigned look(void) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned most = online > 0 ? (unsigned)online : 1, n = in_masks(most),
             quota = tally_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    if (!n) n = most;
    return quota && quota < n ? quota : n;
}

unsigned tally_processors(void) {
    static _Atomic unsigned last;
    static _Atomic int64_t looked; /* seconds */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    /* relaxed: two threads may both look; either result will do */
    unsigned n = tally_load_relaxed(&last);
    if (n && tally_load_relaxed(&looked) == now.tv_sec) return n;
    n = look();
    tally_store_relaxed(&last, n);
    tally_store_relaxed(&looked, now.tv_sec);
    return n;
}
