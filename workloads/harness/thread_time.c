/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thread_time.c: getrusage(2) splits a thread's time on processors only by ticks, so its sum is
 * that of the thread's clock, and the ratio is getrusage's. How long a thread was ready is the
 * second number of its schedstat, where the kernel was built with it.
 */
#define _GNU_SOURCE /* RUSAGE_THREAD */
#include "thread_time.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

static uint64_t clock_ns(clockid_t clock) {
    struct timespec time;

    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t microseconds(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static void read_usage(thread_time *time) {
    struct rusage usage;

    if (getrusage(RUSAGE_THREAD, &usage) != 0) return;
    uint64_t user = microseconds(usage.ru_utime), system = microseconds(usage.ru_stime);
    double share = user + system > 0 ? (double)system / (double)(user + system) : 0;
    uint64_t both = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    time->system = (uint64_t)((double)both * share);
    time->user = both - time->system;
    time->slept = (uint64_t)usage.ru_nvcsw;
    time->preempted = (uint64_t)usage.ru_nivcsw;
}

static void read_ready(thread_time *time) {
    unsigned long long ready;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");

    if (file == NULL) return;
    time->ready_told = fscanf(file, "%*u %llu", &ready) == 1;
    if (time->ready_told) time->ready = ready;
    fclose(file);
}

thread_time thread_time_now(void) {
    thread_time time = {0};

    read_ready(&time);
    read_usage(&time);
    time.wall = clock_ns(CLOCK_MONOTONIC);
    return time;
}

void thread_time_add(thread_time *sum, const thread_time *before) {
    thread_time now = thread_time_now();

    sum->wall += now.wall - before->wall;
    sum->user += now.user > before->user ? now.user - before->user : 0;
    sum->system += now.system > before->system ? now.system - before->system : 0;
    sum->ready += now.ready - before->ready;
    sum->slept += now.slept - before->slept;
    sum->preempted += now.preempted - before->preempted;
    sum->ready_told = now.ready_told;
}

void thread_time_merge(thread_time *all, const thread_time *one) {
    all->wall += one->wall;
    all->user += one->user;
    all->system += one->system;
    all->ready += one->ready;
    all->slept += one->slept;
    all->preempted += one->preempted;
    all->ready_told |= one->ready_told;
}

json_t *thread_time_to_json(const thread_time *all) {
    json_t *result =
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "wall_ns", (json_int_t)all->wall, "user_ns",
                  (json_int_t)all->user, "system_ns", (json_int_t)all->system, "slept",
                  (json_int_t)all->slept, "preempted", (json_int_t)all->preempted);

    if (all->ready_told)
        json_object_set_new(result, "ready_ns", json_integer((json_int_t)all->ready));
    return result;
}
