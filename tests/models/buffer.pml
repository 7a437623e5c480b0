/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * buffer.pml: memory with the store buffers of x86 (TSO). Spin's own memory is sequentially
 * consistent, so a model without buffers would miss a store that needs a fence. The models include
 * this file, and define
 *   WORDS    words of memory
 *   BUFFERS  threads that store, each with its buffer
 *   DEPTH    stores that a buffer holds
 *   ON_STORE(word)  checked when a store reaches memory
 *
 * A plain store (relaxed or release) goes to the end of its thread's buffer. The process `memory`
 * takes the oldest store of any buffer to memory at any time. A load finds the newest store in its
 * own buffer, else memory. A read-modify-write, a seq_cst store and a fence wait until their own
 * buffer is empty: `drained(p)`. membarrier empties another thread's buffer: `drain(p)`. The
 * read-modify-writes work on mem[] in one step, after drained(p). Left out, since x86 does not do
 * it: loads that pass loads, stores that pass stores.
 */
short mem[WORDS];
byte sb_word[BUFFERS * DEPTH];
short sb_value[BUFFERS * DEPTH];
byte sb_len[BUFFERS];
hidden byte sb_i;

#define drained(p) (sb_len[p] == 0)

inline load(p, w, v) {
    d_step {
        v = mem[w];
        sb_i = 0;
        do
        :: sb_i < sb_len[p] ->
            if
            :: sb_word[(p) * DEPTH + sb_i] == (w) -> v = sb_value[(p) * DEPTH + sb_i]
            :: else
            fi;
            sb_i++
        :: else -> break
        od
    }
}

inline store(p, w, v) {
    d_step {
        sb_len[p] < DEPTH ->
        sb_value[(p) * DEPTH + sb_len[p]] = v;
        sb_word[(p) * DEPTH + sb_len[p]] = w;
        sb_len[p]++
    }
}

inline store_seq_cst(p, w, v) {
    d_step { drained(p) -> ON_STORE(w); mem[w] = v }
}

/* Takes the oldest store of p's buffer to memory; there is one. */
inline pop(p) {
    ON_STORE(sb_word[(p) * DEPTH]);
    mem[sb_word[(p) * DEPTH]] = sb_value[(p) * DEPTH];
    sb_len[p]--;
    sb_i = 0;
    do
    :: sb_i < sb_len[p] ->
        sb_word[(p) * DEPTH + sb_i] = sb_word[(p) * DEPTH + sb_i + 1];
        sb_value[(p) * DEPTH + sb_i] = sb_value[(p) * DEPTH + sb_i + 1];
        sb_i++
    :: else -> break
    od;
    sb_word[(p) * DEPTH + sb_i] = 0;
    sb_value[(p) * DEPTH + sb_i] = 0
}

inline drain(p) {
    d_step {
        do
        :: sb_len[p] > 0 -> pop(p)
        :: else -> break
        od
    }
}

active proctype memory() {
end:
    do
    :: d_step { sb_len[0] > 0 -> pop(0) }
#if BUFFERS > 1
    :: d_step { sb_len[1] > 0 -> pop(1) }
#endif
#if BUFFERS > 2
    :: d_step { sb_len[2] > 0 -> pop(2) }
#endif
#if BUFFERS > 3
    :: d_step { sb_len[3] > 0 -> pop(3) }
#endif
    od
}
