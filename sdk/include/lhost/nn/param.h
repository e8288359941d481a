/* param.h - parameters, buffers, their names, and training and evaluation mode.
 *
 * Weights that two layers share are one parameter whose handle both hold. Make it once, copy it:
 *
 *     m->embed = lh_embedding_make(c, "embed", vocabulary, width);
 *     m->head.weight = m->embed.weight;            // an lh_linear without a bias, tied
 *
 * It trains as one, under one name ("embed.weight"). [trainer]
 */
#ifndef LHOST_NN_PARAM_H
#define LHOST_NN_PARAM_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../ops.h"

LH_EXTERN_C_BEGIN

/* A parameter by hand, of shape (10, 20), in the run's precision:
 *     const lh_init normal = {LH_SIZED(lh_init), .kind = LH_INIT_NORMAL, .b = 0.02};
 *     m->scale = lh_param(c, "scale", &normal, 10, 20); */
#define lh_param(c, name, init, ...) \
    (c)->host->param((c), (name), 0, LH_COUNT_INTS_(__VA_ARGS__), LH_INTS_(__VA_ARGS__), (init))

/* State that is saved but has no gradient. */
#define lh_buffer(c, name, fill, ...) \
    (c)->host->buffer((c), (name), 0, LH_COUNT_INTS_(__VA_ARGS__), LH_INTS_(__VA_ARGS__), (fill))

enum { LH_NAME_SIZE = 256 };

/* Prints into buf, of LH_NAME_SIZE bytes, and returns it; a longer name is an error. */
LH_PRINTF(3, 4) static inline char *lh_name_(lh_ctx *c, char *buf, const char *fmt, ...) {
    va_list args;
    int length;

    va_start(args, fmt);
    length = vsnprintf(buf, LH_NAME_SIZE, fmt, args);
    va_end(args);
    if (length < 0 || length >= LH_NAME_SIZE)
        c->host->fail(c, LH_EINVAL, __FILE__, (int32_t)__LINE__,
                      "a name of %d characters, \"%.40s...\": %d are the most", length, buf,
                      LH_NAME_SIZE - 1);
    return buf;
}

/* A name put together, for arrays of layers; it lives to the end of the block:
 *     for (int i = 0; i < 6; i++)
 *         m->blocks[i] = lh_linear_make(c, lh_name(c, "blocks.%d", i), width, width); */
#define lh_name(c, ...) lh_name_((c), (char[LH_NAME_SIZE]){0}, __VA_ARGS__)

static inline lh_init lh_init_(uint32_t kind, double a, double b) {
    lh_init init;

    init.struct_size = (uint32_t)sizeof init;
    init.kind = kind;
    init.mode = LH_FAN_IN;
    init.nonlinearity = LH_LEAKY_RELU_GAIN;
    init.a = a;
    init.b = b;
    init.lo = init.hi = 0;
    return init;
}

/* The parameter NAME.PART, NULL where it is not wanted. */
static inline lh_tensor *lh_param_of_(lh_ctx *c, int wanted, const char *name, const char *part,
                                      int32_t ndim, const int64_t *shape, lh_init init) {
    char key[LH_NAME_SIZE];

    return wanted ? c->host->param(c, lh_name_(c, key, "%s.%s", name, part), 0, ndim, shape, &init)
                  : NULL;
}

/* Likewise, a buffer. */
static inline lh_tensor *lh_buffer_of_(lh_ctx *c, const char *name, const char *part, int32_t dtype,
                                       int32_t ndim, const int64_t *shape, double fill) {
    char key[LH_NAME_SIZE];

    lh_name_(c, key, "%s.%s", name, part);
    return c->host->buffer(c, key, dtype, ndim, shape, fill);
}

/* One input, any number of integers and reals, at the author's line. */
static inline lh_tensor *lh_op1_(lh_ctx *c, const char *file, int32_t line, uint32_t op,
                                 lh_tensor *x, int32_t n_ints, const int64_t *ints, int32_t n_reals,
                                 const double *reals) {
    return lh_op_(c, file, line, op, &x, 1, ints, n_ints, reals, n_reals);
}

static inline lh_tensor *lh_op2_(lh_ctx *c, const char *file, int32_t line, uint32_t op,
                                 lh_tensor *a, lh_tensor *b) {
    lh_tensor *inputs[2];

    inputs[0] = a;
    inputs[1] = b;
    return lh_op_(c, file, line, op, inputs, 2, NULL, 0, NULL, 0);
}

static inline int32_t lh_dtype_(lh_ctx *c, const lh_tensor *t) {
    lh_tensor_info info;

    info.struct_size = (uint32_t)sizeof info;
    return t && c->host->tensor_info(c, t, &info) == LH_OK ? info.dtype : 0;
}

/* Module.train() and Module.eval(): what dropout and batch normalization look at. The host sets the
 * mode for its loops. */
static inline void lh_train(lh_ctx *c) {
    c->host->set_training(c, 1);
}

static inline void lh_eval(lh_ctx *c) {
    c->host->set_training(c, 0);
}

static inline int lh_is_training(lh_ctx *c) {
    return c->host->get_int(c, LH_TRAINING) == 1;
}

LH_EXTERN_C_END
#endif
