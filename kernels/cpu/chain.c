/* chain.c - elementwise calls, dropout included, one after another on a piece of their elements.
 *
 * Invariant: a link's piece is made by the row function that its call alone would be made by, from
 * the same numbers, so bits do not depend on where pieces begin and end.
 */
#include "kernels/cpu/isa.h"

enum { PIECE = 1024, WIDEST = 8 }; /* elements of a piece; bytes of an element */

/* SIN and COS look at their operand again after they have written; here it may be the same memory.
 */
int32_t ISA(may_link)(const lh__kernel_call *call) {
    return call->n_in > 0 &&
           (ISA(drops)(call) || (call->n_in <= LH__LINK_OPERANDS && call->op != LH_OP_SIN &&
                                 call->op != LH_OP_COS && ISA(row_of)(call) != NULL));
}

void ISA(ready_link)(lh__link *link) {
    link->row = ISA(drops)(&link->call) ? NULL : (void (*)(void))ISA(row_of)(&link->call);
}

/* Elements [begin, begin + n), at most PIECE of them; results that go to no memory are in `room`.
 */
static void run_link(const lh__chain *chain, int32_t which, char (*room)[PIECE * WIDEST],
                     int64_t begin, int64_t n) {
    static const int64_t ones[LH__LINK_OPERANDS] = {1, 1, 1};
    const lh__link *link = &chain->links[which];
    const lh__kernel_call *call = &link->call;
    const void *in[LH__LINK_OPERANDS];
    int64_t size = lh__dtype_size(call->out->dtype), at[LH__LINK_OPERANDS];
    char *out = link->is_stored ? (char *)call->out->data + begin * size : room[which];

    for (int32_t k = 0; k < call->n_in; k++) {
        int32_t from = link->source[k];
        const lh__view *v = call->in[k];

        at[k] = begin * lh__dtype_size(v->dtype);
        in[k] = from < 0 || chain->links[from].is_stored ? v->data : room[from] - at[k];
    }
    if (link->row && !link->is_flat) {
        lh__walk_part(call, (lh__row_fn *)link->row, in, out - begin * size, begin, begin + n);
        return;
    }
    if (!link->row) {
        ISA(drop)(call, in[0], out - begin * size, begin, begin + n);
        return;
    }
    for (int32_t k = 0; k < call->n_in; k++)
        in[k] = (const char *)in[k] + at[k];
    ((lh__row_fn *)link->row)(out, in, ones, n, call->reals);
}

void ISA(run_links)(const lh__after *after, int64_t begin, int64_t n) {
    const lh__chain *chain = (const lh__chain *)after;
    _Alignas(64) char room[LH__MAX_LINKS][PIECE * WIDEST];

    for (int64_t end = begin + n, piece; begin < end; begin += piece) {
        piece = end - begin < PIECE ? end - begin : PIECE;
        for (int32_t i = 0; i < chain->n; i++)
            run_link(chain, i, room, begin, piece);
    }
}

static void run_range(const void *arg, int64_t begin, int64_t end) {
    ISA(run_links)(arg, begin, end - begin);
}

void ISA(run_chain)(const lh__chain *chain) {
    lh__for_ranges(chain->pool, chain->numel, LH__TILE, run_range, &chain->after);
}
