/* attention.c - the cpu device's scaled dot-product attention and its gradient.
 *
 * The matrix of scores is never stored: blocks of it live on the stack of the thread that works on
 * them. Going forward a row's largest score and its sum are kept up to date from block to block of
 * keys; going back, blocks are computed anew from what the row was normalized with. Invariant:
 * blocks are cut by shape alone and added up in order; F32 and F64, everything else goes to the
 * oracle.
 */
#include "kernels/attention.h"
#include "kernels/cpu/draw.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/vmath.h"

enum {
    QUERIES = 64, /* of a block */
    KEYS = QUERIES,
    FEW_HEADS = 8,              /* their gradients are cut into blocks of keys and of queries */
    LEAST_TO_CUT = 1024 * 1024, /* multiply-adds */
};

/* A call; of a gradient also g and what the call left. */
typedef struct job {
    lh__attention a;
    lh__philox_key key;
    lh__products products;
    lh__view y, g, grads[3]; /* to q, k and v */
    void *log_sum;           /* (n heads t) */
    bool whole;              /* a tile is a head, all gradients; else a block of queries or keys */
} job;

/* Queries [q, q + rows) by keys [k, k + columns) of a head. */
typedef struct block {
    int64_t n, head, q, rows, k, columns;
} block;

static int64_t count(int64_t positions, int64_t size) {
    return (positions + size - 1) / size;
}

static block of_queries(const job *w, block b, int64_t number) {
    b.q = number * QUERIES;
    b.rows = w->a.t - b.q < QUERIES ? w->a.t - b.q : QUERIES;
    return b;
}

/* Keys from k on; what the last query of the block doesn't see is left out. */
static block of_keys(const job *w, block b, int64_t number) {
    int64_t seen = lh__attention_seen(&w->a, b.q + b.rows - 1, w->a.s);

    b.k = number * KEYS;
    b.columns = seen - b.k < KEYS ? seen - b.k : KEYS;
    return b;
}

/* Blocks of keys that a block of queries sees something of. */
static int64_t key_blocks(const job *w, block b) {
    return count(lh__attention_seen(&w->a, b.q + b.rows - 1, w->a.s), KEYS);
}

static void *place(const lh__view *v, block b, int64_t position) {
    return (char *)v->data +
           (b.n * v->stride[0] + b.head * v->stride[1] + position * v->stride[2]) *
               lh__dtype_size(v->dtype);
}

/* The number, among all weights, of that of row r of a block and its first key. */
static int64_t element(const job *w, block b, int64_t r) {
    return ((b.n * w->a.heads + b.head) * w->a.t + b.q + r) * w->a.s + b.k;
}

/* Columns of a block that row r sees. */
static int64_t seen_of(const job *w, block b, int64_t r) {
    int64_t seen = lh__attention_seen(&w->a, b.q + r, w->a.s) - b.k;

    return seen < 0 ? 0 : seen < b.columns ? seen : b.columns;
}

#define T float
#define FN(name) name##_f32
#include "kernels/cpu/attention.inc"
#undef T
#undef FN
#define T double
#define FN(name) name##_f64
#include "kernels/cpu/attention.inc"

/* Whether all but a BOOL mask, the last of `with_mask` inputs, are F32 or all are F64. */
static bool is_plain(const lh__kernel_call *call, int32_t with_mask) {
    int32_t dtype = call->out->dtype;

    for (int32_t k = 0; k < call->n_in; k++)
        if (call->in[k]->dtype != dtype && !(k == with_mask - 1 && call->in[k]->dtype == LH_BOOL))
            return false;
    return dtype == LH_F32 || dtype == LH_F64;
}

/* NULL: not worth waking threads for. */
static lh__pool *pool_for(const lh__kernel_call *call, const lh__attention *a) {
    bool small = a->n * a->heads * a->t * a->s * (a->d + a->e) < LEAST_TO_CUT;

    return small ? NULL : call->pool;
}

static void *behind(const lh__view *vector, int64_t elements) {
    return (char *)vector->data + elements * lh__dtype_size(vector->dtype);
}

void ISA(attention)(const lh__kernel_call *call) {
    job w = {.a = lh__attention_of(call, 0), .key = call->key, .products = call->products};
    int64_t heads = w.a.n * w.a.heads;

    if (!is_plain(call, 4)) {
        lh__ref_attention(call);
        return;
    }
    w.y = lh__attention_part(&w.a, call->out, 0, w.a.t, w.a.e);
    w.log_sum = behind(call->out, heads * w.a.t * w.a.e);
    lh__pool_run(pool_for(call, &w.a), heads * count(w.a.t, QUERIES),
                 call->out->dtype == LH_F32 ? attend_f32 : attend_f64, &w);
}

void ISA(attention_grad)(const lh__kernel_call *call) {
    job w = {.a = lh__attention_of(call, 2),
             .key = call->key,
             .products = call->products,
             .g = *call->in[0]};
    const lh__attention *a = &w.a;
    int64_t heads = a->n * a->heads, tiles = heads;

    if (!is_plain(call, 6)) {
        lh__ref_attention_grad(call);
        return;
    }
    w.y = lh__attention_part(a, call->in[1], 0, a->t, a->e);
    w.log_sum = behind(call->in[1], heads * a->t * a->e);
    lh__attention_gradients(a, call->out, call->ints[2] != 0, w.grads);
    w.whole = heads >= FEW_HEADS;
    if (!w.whole)
        tiles *= count(a->t, QUERIES) + count(a->s, KEYS);
    lh__pool_run(pool_for(call, a), tiles, call->out->dtype == LH_F32 ? derive_f32 : derive_f64,
                 &w);
}
