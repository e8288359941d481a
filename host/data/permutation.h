/* permutation.h - a shuffled order that is computed, not stored: a keyed bijection on [0, n).
 *
 * A balanced Feistel network over the smallest even number of bits that holds n (Luby, Rackoff
 * 1988), its round keys drawn from Philox, with cycle walking (Black, Rogaway 2002): a result
 * outside [0, n) is sent through again. Invariant: position i's item is f(key, n, i) alone, so any
 * thread may ask for any position at any time.
 */
#ifndef LH_DATA_PERMUTATION_H
#define LH_DATA_PERMUTATION_H

#include "kernels/philox.h"

enum { LH__PERMUTATION_ROUNDS = 8 };

typedef struct lh__permutation {
    uint64_t n, keys[LH__PERMUTATION_ROUNDS];
    unsigned half; /* bits of one half of the network */
} lh__permutation;

/* Streams of the room's random numbers (lh__philox_key.stream). */
#define LH__STREAM_SHUFFLE 0x100000000ull /* plus the loader's id */
#define LH__STREAM_SPLIT 0x200000000ull

/* n may be anything from 0 to 2^62. The network has 256 places at least: a smaller one visibly
 * prefers some orders. */
lh__permutation lh__permutation_of(uint64_t n, lh__philox_key key);

/* Where position i, below n, leads. Takes four rounds trips through the network at most on average.
 */
uint64_t lh__permute(const lh__permutation *p, uint64_t i);

#endif
