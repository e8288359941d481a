/* layers.h - a case of the layers module: how a layer of nn.h is made and applied, and on what. */
#ifndef TESTS_PLUGINS_LAYERS_H
#define TESTS_PLUGINS_LAYERS_H

#include <lhost/lhost.h>

typedef struct bench bench;

typedef struct test_case {
    const char *name; /* NULL ends a table */
    void (*make)(lh_ctx *c, bench *b);
    lh_tensor *(*apply)(lh_ctx *c, bench *b, lh_tensor *x);
    int64_t x[6], y[6]; /* shapes, ended by -1 */
    int is_index;       /* x is int64 */
    int is_evaluation;
    int is_bare; /* no parameters */
} test_case;

struct bench {
    const test_case *t;
    lh_linear linear;
    lh_conv conv;
    lh_batch_norm batch_norm;
    lh_layer_norm norm;
    lh_embedding embedding;
    lh_recurrent recurrent;
    lh_multihead_attention attention;
    lh_transformer_layer layer;
    lh_transformer transformer;
    lh_tensor *x, *y, *r, *grad_x;
    lh_tensor *params[64], *grads[64];
    int n_params;
};

#define SHAPE(...) \
    { __VA_ARGS__, -1 }
#define FLAT(n) \
    { (n), -1 }
#define MAKE(what) static void make_##what(lh_ctx *c, bench *b)
#define APPLY(what) static lh_tensor *apply_##what(lh_ctx *c, bench *b, lh_tensor *x)

/* The parts as one vector. */
static inline lh_tensor *flat(lh_ctx *c, int n, lh_tensor **parts) {
    for (int i = 0; i < n; i++)
        parts[i] = lh_reshape(c, parts[i], -1);
    return lh_concat(c, 0, n, parts);
}

/* The cases of each file. */
extern const test_case feedforward_cases[], sequence_cases[], other_cases[];

#endif
