/* operators.c - small programs of operator calls, on both devices, and on cpu once more with calls
 * put off: each call is computed or refused with a message that names the operator and the author's
 * line, the devices agree on which, and calls that were put off have the bits of calls that
 * weren't.
 *
 * The input is read as statements: leaves of any dtype, layout and content, calls with plausible
 * and with wild integers and reals, gradients of gradients, backward passes, modes. A statement's
 * number is its line. What the tensors of a program hold may be seen by later statements.
 */
#include "engine/catalogue.h"
#include "engine/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

/* The engines' memory ends soon: a result that doesn't fit is refused, not waited for. */
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return size <= 4 << 20 ? __real_aligned_alloc(alignment, size) : NULL;
}

enum {
    DEVICES = 3, /* ref, cpu and cpu deferred */
    MOST_STATEMENTS = 32,
    MOST_TENSORS = 64,
    MOST_ELEMENTS = 512, /* of a tensor that is used again */
    MOST_INPUTS = 10,
    MOST_NUMBERS = LH__MAX_INTS + 2
};

typedef struct program {
    const uint8_t *next, *end;
    lh__engine *engine[DEVICES];
    lh__error err[DEVICES];
    lh_tensor *tensor[MOST_TENSORS][DEVICES];
    int32_t n_tensors, line;
} program;

static uint8_t byte_of(program *p) {
    return p->next < p->end ? *p->next++ : 0;
}

static _Noreturn void fail(const program *p, int32_t device, const char *what) {
    fprintf(stderr, "line %d, %s: %s: %d \"%s\"\n", p->line,
            lh__engine_get_options(p->engine[device])->device, what, p->err[device].code,
            p->err[device].text);
    abort();
}

/* Numbers: mostly small, some that no call can mean well. */

static int64_t integer_of(program *p) {
    static const int64_t wild[] = {
        INT64_MIN,  INT64_MAX, INT64_MAX / 2,    INT64_MAX / 8, -INT64_MAX, INT32_MAX, INT32_MIN,
        UINT32_MAX, 1 << 20,   (int64_t)1 << 40, 1 << 30,       100,        -100,      1000,
    };
    uint8_t b = byte_of(p);

    return b >= 240 ? wild[(b - 240) % (int)(sizeof wild / sizeof *wild)] : b % 12 - 3;
}

static double real_of(program *p) {
    static const double some[] = {
        0,   1,        2,         0.5,   1e-5,   0.1,    -1,      20, -0.5, 3,
        NAN, INFINITY, -INFINITY, 1e300, -1e300, 5e-324, -1e-300, 64, 1e19, -0.0,
    };

    return some[byte_of(p) % (sizeof some / sizeof *some)];
}

/* How many of what a row takes from `count.min` to `count.max`; sometimes another number. */
static int32_t count_of(program *p, lh__count count, int32_t most) {
    uint8_t b = byte_of(p);
    int32_t max = count.max == LH__ANY ? count.min + 5 : count.max;
    int32_t n = b >= 250 ? (b - 250) * 5 : count.min + b % (max - count.min + 1);

    return n < most ? n : most;
}

/* Tensors. */

static lh_tensor **tensor_of(program *p) {
    return p->tensor[byte_of(p) % p->n_tensors];
}

/* Every device has it. */
static int32_t is_whole(lh_tensor *const *t) {
    for (int32_t d = 0; d < DEVICES; d++)
        if (!t[d])
            return 0;
    return 1;
}

/* Keeps what a statement gave, unless it is too large to go on with. */
static void keep(program *p, lh_tensor *const *t) {
    if (!is_whole(t) || p->n_tensors == MOST_TENSORS || lh__view_numel(&t[0]->view) > MOST_ELEMENTS)
        return;
    memcpy(p->tensor[p->n_tensors++], t, sizeof *p->tensor);
}

static void fill(program *p, int32_t dtype, int64_t n, void *data) {
    uint8_t kind = byte_of(p);

    for (int64_t i = 0; i < n; i++) {
        double real = kind & 1 ? real_of(p) : (double)((i * 7 + kind) % 11) / 4 - 1;

        if (dtype == LH_F64)
            ((double *)data)[i] = real;
        else if (dtype == LH_F32)
            ((float *)data)[i] = (float)real;
        else if (dtype == LH_I64)
            ((int64_t *)data)[i] = kind & 1 ? integer_of(p) : (i + kind) % 3;
        else if (dtype == LH_I32)
            ((int32_t *)data)[i] = (int32_t)((i + kind) % 3);
        else if (dtype == LH_BOOL)
            ((uint8_t *)data)[i] = (i + kind) % 2 == 0;
        else if (dtype == LH_U8)
            ((uint8_t *)data)[i] = kind & 1 ? byte_of(p) : (uint8_t)(i % 3);
        else
            ((uint16_t *)data)[i] = (uint16_t)(kind & 1 ? byte_of(p) << 8 : (i % 3) << 14);
    }
}

/* Calls. */

static lh_op_call call_of(const program *p, uint32_t op) {
    return (lh_op_call){
        .struct_size = sizeof(lh_op_call), .op = op, .line = p->line, .file = "fuzz.c"};
}

/* The text names the line, and the operator where there is one. */
static void check_refusal(program *p, int32_t device, const char *name) {
    const lh__error *err = &p->err[device];
    char place[64];

    snprintf(place, sizeof place, "fuzz.c:%d: %s", p->line, name ? name : "there is no operator");
    if (err->code == LH_OK)
        fail(p, device, "no result and no error");
    if (strncmp(err->text, place, strlen(place)) != 0)
        fail(p, device, place);
    if (strstr(err->text, "error in the engine"))
        fail(p, device, "not the author's error");
}

/* Memory, and values that differ in their last bits, may make a difference. */
static int32_t may_differ(const lh__error *err) {
    return err->code == LH_ENOMEM || err->code == LH_EINVAL || err->code == LH_ESTATE;
}

static void check_pair(program *p, lh_tensor *const *t, int32_t one, int32_t other) {
    const lh__error *err = p->err;

    if (!t[one] != !t[other] && !may_differ(&err[t[one] ? other : one]))
        fail(p, t[one] ? other : one, "refused by one device only");
    if (t[one] && t[other]) {
        const lh__view *a = &t[one]->view, *b = &t[other]->view;

        if (a->dtype != b->dtype || a->ndim != b->ndim ||
            memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) != 0)
            fail(p, other, "the devices differ in dtype or shape");
    }
    if (!t[one] && !t[other] && err[one].code != err[other].code && !may_differ(&err[one]) &&
        !may_differ(&err[other]))
        fail(p, other, "the devices differ in the error");
}

static void check_agreement(program *p, lh_tensor *const *t) {
    for (int32_t d = 0; d < DEVICES; d++)
        if (t[d] && p->err[d].code != LH_OK)
            fail(p, d, "a result and an error");
    for (int32_t d = 1; d < DEVICES; d++)
        check_pair(p, t, d - 1, d);
}

/* The call on each device; the numbers are where a sanitizer sees a step beyond them. */
static void run(program *p, lh_op_call call, lh_tensor *(*in)[DEVICES], lh_tensor **out) {
    const lh__row *row = call.op < LH__OP_RELU_GRAD ? lh__row_of(call.op) : NULL;
    int64_t *ints = malloc((size_t)call.n_ints * sizeof *ints);
    double *reals = malloc((size_t)call.n_reals * sizeof *reals);
    lh_tensor **inputs = malloc((size_t)call.n_inputs * sizeof *inputs);

    for (int32_t i = 0; i < call.n_ints; i++)
        ints[i] = call.ints[i];
    for (int32_t i = 0; i < call.n_reals; i++)
        reals[i] = call.reals[i];
    for (int32_t d = 0; d < DEVICES; d++) {
        p->err[d] = (lh__error){0};
        for (int32_t i = 0; i < call.n_inputs; i++)
            inputs[i] = in[i][d];
        call.inputs = inputs, call.ints = ints, call.reals = reals;
        out[d] = lh__op(p->engine[d], &call);
        if (!out[d])
            check_refusal(p, d, row ? row->name : NULL);
    }
    check_agreement(p, out);
    free(inputs);
    free(reals);
    free(ints);
}

static void call_operator(program *p, uint32_t op) {
    const lh__row *row = op < LH__OP_RELU_GRAD ? lh__row_of(op) : NULL;
    lh_op_call call = call_of(p, op);
    lh_tensor *in[MOST_INPUTS][DEVICES], *out[DEVICES];
    int64_t ints[MOST_NUMBERS];
    double reals[MOST_NUMBERS];

    call.n_inputs = count_of(p, row ? row->in : (lh__count){0, 3}, MOST_INPUTS);
    call.n_ints = count_of(p, row ? row->ints : (lh__count){0, 3}, MOST_NUMBERS);
    call.n_reals = count_of(p, row ? row->reals : (lh__count){0, 3}, MOST_NUMBERS);
    for (int32_t i = 0; i < call.n_inputs; i++)
        memcpy(in[i], tensor_of(p), sizeof *in);
    for (int32_t i = 0; i < call.n_ints; i++)
        ints[i] = integer_of(p);
    for (int32_t i = 0; i < call.n_reals; i++)
        reals[i] = real_of(p);
    call.ints = ints, call.reals = reals;
    run(p, call, in, out);
    keep(p, out);
}

/* The operator with one input and these integers. */
static int32_t apply(program *p, uint32_t op, lh_tensor **t, int32_t n_ints, const int64_t *ints) {
    lh_op_call call = call_of(p, op);
    lh_tensor *in[1][DEVICES];

    call.n_inputs = 1;
    call.n_ints = n_ints, call.ints = ints;
    memcpy(in[0], t, sizeof *in);
    run(p, call, in, t);
    return is_whole(t);
}

/* Transposed, every second element of an axis, repeated along a new one, or as it is. */
static void view(program *p, lh_tensor **t) {
    uint8_t kind = byte_of(p);
    int32_t ndim = t[0]->view.ndim, axis = ndim ? kind / 4 % ndim : 0;
    int64_t ints[1 + LH_MAX_DIMS] = {2};

    if (kind % 4 == 1 && ndim > 0) {
        for (int32_t k = 0; k < ndim; k++)
            ints[k] = (k + axis) % ndim;
        apply(p, LH_OP_PERMUTE, t, ndim, ints);
    } else if (kind % 4 == 2 && ndim > 0) {
        apply(p, LH_OP_SLICE, t, 4, (int64_t[]){axis, 0, t[0]->view.shape[axis], 2});
    } else if (kind % 4 == 3 && ndim < LH_MAX_DIMS) {
        memcpy(ints + 1, t[0]->view.shape, (size_t)ndim * sizeof *ints);
        apply(p, LH_OP_EXPAND, t, ndim + 1, ints);
    }
}

/* A leaf: of any dtype, at most five axes, perhaps of the shape of another tensor. */
static void make_leaf(program *p, uint8_t kind) {
    static const int64_t extents[] = {2, 3, 1, 4, 2, 3, 7, 0};
    int32_t dtype = LH_F32 + kind % LH_I32, ndim = byte_of(p) % 7;
    int64_t shape[LH_MAX_DIMS], n = 1;
    _Alignas(64) uint8_t data[8 * MOST_ELEMENTS];
    lh_tensor *t[DEVICES];

    if (ndim == 6) {
        const lh__view *like = &tensor_of(p)[0]->view;

        ndim = like->ndim;
        memcpy(shape, like->shape, (size_t)ndim * sizeof *shape);
    } else {
        for (int32_t d = 0; d < ndim; d++)
            shape[d] = extents[byte_of(p) % 8];
    }
    for (int32_t d = 0; d < ndim; d++)
        n *= shape[d];
    if (n > MOST_ELEMENTS)
        return;
    fill(p, dtype, n, data);
    for (int32_t d = 0; d < DEVICES; d++)
        t[d] = lh__tensor_new(p->engine[d], dtype, ndim, shape, data);
    view(p, t);
    if (is_whole(t) && lh__dtype_name(dtype)[0] != 'i' && kind & 16)
        apply(p, LH_OP_REQUIRE_GRAD, t, 0, NULL);
    keep(p, t);
}

/* Calls whose operands fit. */

/* Operands: r real, i index, b bool, each with its axes: an extent, or a letter for one. */
typedef struct recipe {
    uint32_t op;
    const char *operands;
    int32_t n_ints, n_reals;
    int64_t ints[9];
    double reals[2];
} recipe;

static const recipe recipes[] = {
    {LH_OP_WHERE, "bab,rab,rb", 0, 0, {0}, {0}},
    {LH_OP_MASKED_FILL, "rab,bab", 0, 1, {0}, {2}},
    {LH_OP_MEAN, "rabc", 2, 0, {0, 1}, {0}},
    {LH_OP_VAR, "rabc", 3, 0, {1, 1, -1}, {0}},
    {LH_OP_PROD, "rab", 2, 0, {0, 0}, {0}},
    {LH_OP_RESHAPE, "rab", 1, 0, {-1}, {0}},
    {LH_OP_PERMUTE, "rabc", 3, 0, {2, 0, 1}, {0}},
    {LH_OP_EXPAND, "ra1", 2, 0, {-1, 3}, {0}},
    {LH_OP_SLICE, "r5a", 4, 0, {0, 1, 5, 2}, {0}},
    {LH_OP_CONCAT, "rab,rcb,rab", 1, 0, {0}, {0}},
    {LH_OP_PAD, "ra3", 3, 1, {0, 1, -1}, {2}},
    {LH_OP_PAD, "ra3", 3, 0, {1, 2, 1}, {0}},
    {LH_OP_CUMSUM, "rab", 1, 0, {0}, {0}},
    {LH_OP_GATHER, "rab,iab", 1, 0, {0}, {0}},
    {LH_OP_INDEX_SELECT, "rab,ic", 1, 0, {0}, {0}},
    {LH_OP_SCATTER_ADD, "rab,iab,rab", 1, 0, {1}, {0}},
    {LH_OP_EMBEDDING, "r3a,ibc", 1, 0, {1}, {0}},
    {LH_OP_MATMUL, "rabc,rcd", 0, 0, {0}, {0}},
    {LH_OP_MATMUL, "ra,rbac", 0, 0, {0}, {0}},
    {LH_OP_LINEAR, "rab,rcb,rc", 0, 0, {0}, {0}},
    {LH_OP_NLL_LOSS, "rab,ia", 0, 0, {0}, {0}},
    {LH_OP_CROSS_ENTROPY, "rab,ia", 0, 0, {0}, {0}},
    {LH_OP_CROSS_ENTROPY, "rabc,iac,rb", 2, 1, {1, 0}, {0.1}},
    {LH_OP_CROSS_ENTROPY, "rab,rab", 1, 0, {2}, {0}},
    {LH_OP_BCE_WITH_LOGITS, "rab,rab,rb", 0, 0, {0}, {0}},
    {LH_OP_ACCURACY, "rab,ia", 0, 0, {0}, {0}},
    {LH_OP_COSINE_SIMILARITY, "rab,rab", 1, 0, {1}, {0}},
    {LH_OP_COSINE_EMBEDDING_LOSS, "rab,rab,ia", 0, 0, {0}, {0}},
    {LH_OP_TRIPLET_MARGIN_LOSS, "rab,rab,rab", 0, 2, {0}, {1, 2}},
    {LH_OP_CONV, "rab5,rcb2,rc", 4, 0, {1, 1, 2, 1}, {0}},
    {LH_OP_CONV, "r2a56,rba23", 7, 0, {2, 1, 0, 1, 1, 2, 1}, {0}},
    {LH_OP_CONV, "ra45,r412", 4, 0, {1, 0, 1, 4}, {0}},
    {LH_OP_CONV_TRANSPOSE, "rab3,rbc2,rc", 5, 0, {2, 1, 1, 1, 1}, {0}},
    {LH_OP_MAX_POOL, "rab5", 5, 0, {2, 2, 1, 1, 1}, {0}},
    {LH_OP_MAX_POOL_INDICES, "rab45", 9, 0, {2, 2, 1, 2, 0, 0, 1, 1}, {0}},
    {LH_OP_AVG_POOL, "rab55", 8, 0, {2, 3, 1, 2, 1, 0, 1, 0}, {0}},
    {LH_OP_ADAPTIVE_AVG_POOL, "rab57", 2, 0, {2, 3}, {0}},
    {LH_OP_ADAPTIVE_MAX_POOL, "rab5", 1, 0, {3}, {0}},
    {LH_OP_UPSAMPLE_NEAREST, "rab23", 2, 0, {4, 5}, {0}},
    {LH_OP_UPSAMPLE_LINEAR, "rab3", 2, 0, {1, 5}, {0}},
    {LH_OP_BATCH_NORM, "rabc,rb,rb,rb,rb", 0, 2, {0}, {1e-5, 0.1}},
    {LH_OP_LAYER_NORM, "rabc,rbc,rbc", 1, 1, {2}, {1e-5}},
    {LH_OP_GROUP_NORM, "ra4b,r4,r4", 1, 1, {2}, {1e-5}},
    {LH_OP_INSTANCE_NORM, "rab3", 0, 1, {0}, {1e-5}},
    {LH_OP_RMS_NORM, "rab,rb", 1, 1, {1}, {1e-5}},
    {LH_OP_ATTENTION, "rabd,racd,race", 1, 2, {1}, {0, 0.5}},
    {LH_OP_ATTENTION, "rad,rbd,rbc,bab", 1, 2, {0}, {0, 0}},
    {LH_OP_ROPE, "rab4", 2, 1, {1, 0}, {100}},
    {LH_OP_RNN, "rabc,rbc,rcc,rc", 1, 0, {1}, {0}},
    {LH_OP_LSTM, "rab8,rb2,rb2,r82,r8", 0, 0, {0}, {0}},
    {LH_OP_GRU, "rab6,rb2,r62,r6", 0, 0, {0}, {0}},
};

/* Axes in the other order, stored so. */
static int32_t reverse(program *p, lh_tensor **t) {
    int64_t axes[LH_MAX_DIMS];
    int32_t ndim = t[0]->view.ndim;

    for (int32_t k = 0; k < ndim; k++)
        axes[k] = ndim - 1 - k;
    return apply(p, LH_OP_PERMUTE, t, ndim, axes);
}

/* The operand that `spec` tells of: contiguous or not, with a gradient or without. */
static int32_t make_operand(program *p, const char *spec, const int64_t *letters, lh_tensor **t) {
    uint8_t kind = byte_of(p);
    int32_t ndim = (int32_t)strcspn(spec, ",") - 1, reversed = kind >> 2 & 1;
    int32_t dtype = *spec == 'i' ? LH_I64 : *spec == 'b' ? LH_BOOL : kind & 1 ? LH_F64 : LH_F32;
    int64_t shape[LH_MAX_DIMS], n = 1;
    _Alignas(64) uint8_t data[8 * MOST_ELEMENTS];

    if (*spec == 'r' && kind >= 0xe0)
        dtype = kind & 1 ? LH_F16 : LH_I32;
    for (int32_t d = 0; d < ndim; d++) {
        char axis = spec[1 + d];
        int64_t extent = axis >= 'a' ? letters[axis - 'a'] : axis - '0';

        shape[reversed ? ndim - 1 - d : d] = extent;
        n *= extent;
    }
    if (n > MOST_ELEMENTS)
        return 0;
    fill(p, dtype, n, data);
    for (int64_t i = 0; *spec == 'i' && i < n; i++)
        ((int64_t *)data)[i] = (i + kind / 16) % 2;
    for (int32_t d = 0; d < DEVICES; d++)
        t[d] = lh__tensor_new(p->engine[d], dtype, ndim, shape, data);
    if (!is_whole(t) || (reversed && !reverse(p, t)))
        return 0;
    return *spec != 'r' || dtype == LH_I32 || !(kind >> 3 & 1) ||
           apply(p, LH_OP_REQUIRE_GRAD, t, 0, NULL);
}

/* A recipe, now and then with one of its integers or reals replaced. */
static void follow(program *p) {
    recipe r = recipes[byte_of(p) % (sizeof recipes / sizeof *recipes)];
    const uint8_t change = byte_of(p), sizes = byte_of(p);
    const int64_t letters[] = {1 + sizes % 4, 1 + sizes / 4 % 4, sizes / 16 % 5, 2, 3};
    lh_op_call call = call_of(p, r.op);
    lh_tensor *in[MOST_INPUTS][DEVICES], *out[DEVICES];

    for (const char *spec = r.operands; *spec; spec += *spec == ',') {
        if (!make_operand(p, spec, letters, in[call.n_inputs]))
            return;
        keep(p, in[call.n_inputs++]);
        spec += strcspn(spec, ",");
    }
    if (change >= 192 && r.n_ints > 0)
        r.ints[change % r.n_ints] = integer_of(p);
    else if (change >= 128 && r.n_reals > 0)
        r.reals[change % r.n_reals] = real_of(p);
    call.n_ints = r.n_ints;
    call.n_reals = r.n_reals;
    call.ints = r.ints, call.reals = r.reals;
    run(p, call, in, out);
    keep(p, out);
}

/* Gradients. */

/* A derivative of what was computed is computed too, but for few reasons. */
static void check_gradient_refusal(program *p, int32_t device) {
    const lh__error *err = &p->err[device];
    int32_t placed = strncmp(err->text, "fuzz.c:", 7) == 0 && strstr(err->text, "gradient of ");

    if (err->code == LH_OK)
        fail(p, device, "no gradient and no error");
    if (strncmp(err->text, "backward: ", 10) == 0 || strncmp(err->text, "gradient: ", 10) == 0 ||
        strstr(err->text, "a backward pass went through here"))
        return;
    if (!placed || strstr(err->text, "error in the engine") ||
        (err->code != LH_ENOMEM && err->code != LH_ESTATE && err->code != LH_EUNSUPPORTED))
        fail(p, device, "a gradient's error");
}

static void derive(program *p, uint8_t kind) {
    const int64_t all = 0;
    lh_tensor *loss[DEVICES], **x, *g[DEVICES];

    memcpy(loss, tensor_of(p), sizeof loss);
    x = tensor_of(p);
    if (!apply(p, LH_OP_SUM, loss, 1, &all))
        return;
    for (int32_t d = 0; d < DEVICES; d++) {
        p->err[d] = (lh__error){0};
        g[d] = NULL;
        if (kind & 2)
            lh__backward(p->engine[d], loss[d], 1.0, kind >> 2 & 1);
        else
            g[d] = lh__grad_of(p->engine[d], loss[d], x[d], kind & 1);
        if (kind & 2 ? p->err[d].code != LH_OK : !g[d])
            check_gradient_refusal(p, d);
        if (g[d] && (g[d]->view.dtype != x[d]->view.dtype || g[d]->view.ndim != x[d]->view.ndim))
            fail(p, d, "a gradient unlike its tensor");
    }
    check_agreement(p, g);
    keep(p, g);
}

/* The engines live on; parameters are the first tensors of every program. */

static void put_new(program *p, const char *name, int32_t dtype, int32_t ndim, int32_t buffer) {
    const int64_t shape[] = {3, 2};

    for (int32_t d = 0; d < DEVICES; d++) {
        lh__engine *e = p->engine[d];

        if (!(buffer ? lh__buffer_new(e, name, dtype, ndim, shape, 0)
                     : lh__param_new(e, name, dtype, ndim, shape, NULL)))
            fail(p, d, "set-up");
    }
}

static void set_up(program *p) {
    static const char *const devices[DEVICES] = {"ref", "cpu", "cpu"};

    for (int32_t d = 0; d < DEVICES; d++) {
        const lh__engine_options options = {
            .device = devices[d], .threads = 1, .dtype = LH_F32, .seed = 42, .deferred = d == 2};

        p->engine[d] = lh__engine_new(&options, &p->err[d]);
        if (!p->engine[d]) {
            fprintf(stderr, "%s\n", p->err[d].text);
            abort();
        }
    }
    put_new(p, "w", LH_F32, 1, 0);
    put_new(p, "v", LH_F64, 2, 0);
    put_new(p, "mean", LH_F32, 1, 1);
    put_new(p, "var", LH_F32, 1, 1);
    put_new(p, "count", LH_I64, 0, 1);
    for (int32_t d = 0; d < DEVICES; d++)
        lh__params_seal(p->engine[d]);
}

static void begin(program *p, uint8_t mode) {
    static const double values[6] = {0.5, 1, 2, -1, 0.25, 3};
    static const float few[3] = {0.5f, 1, 2};
    static const int64_t count = 0;

    p->n_tensors = 0;
    p->line = 0;
    for (int32_t d = 0; d < DEVICES; d++) {
        lh__engine *e = p->engine[d];

        p->err[d] = (lh__error){0};
        lh__engine_set_error(e, &p->err[d]);
        lh__step_begin(e, mode & 1 ? LH__PHASE_EVAL : LH__PHASE_TRAIN, 0);
        lh__set_training(e, !(mode & 1));
        lh__set_grad_enabled(e, 1);
        lh__params_zero_grad(e);
        for (int64_t i = 0; i < lh__param_count(e); i++) {
            lh_tensor *t = &lh__param_at(e, i)->tensor;
            const void *from = t->view.dtype == LH_F64   ? (const void *)values
                               : t->view.dtype == LH_F32 ? (const void *)few
                                                         : (const void *)&count;

            lh__tensor_write(e, t, from,
                             (uint64_t)(lh__view_numel(&t->view) * lh__dtype_size(t->view.dtype)));
            p->tensor[i][d] = t;
        }
    }
    p->n_tensors = (int32_t)lh__param_count(p->engine[0]);
}

static void set_mode(program *p, uint8_t kind) {
    for (int32_t d = 0; d < DEVICES; d++)
        if (kind & 1)
            lh__set_training(p->engine[d], kind >> 1 & 1);
        else
            lh__set_grad_enabled(p->engine[d], kind >> 1 & 1);
}

/* The bytes of what cpu has, at once and deferred; not compared once memory ran out. */
static void check_bits(program *p) {
    static _Alignas(64) uint8_t data[2][8 * MOST_ELEMENTS];

    for (int32_t i = 0; i < p->n_tensors; i++) {
        lh_tensor **t = p->tensor[i];
        const size_t bytes =
            (size_t)(lh__view_numel(&t[1]->view) * lh__dtype_size(t[1]->view.dtype));

        for (int32_t d = 1; d < DEVICES; d++) {
            p->err[d] = (lh__error){0};
            if (lh__tensor_read(p->engine[d], t[d], data[d - 1], bytes) == LH_OK)
                continue;
            if (p->err[d].code != LH_ENOMEM)
                fail(p, d, "a result that can't be read");
            return;
        }
        if (memcmp(data[0], data[1], bytes) != 0)
            fail(p, 2, "other bits than without deferring");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static program p;

    if (!p.engine[0])
        set_up(&p);
    p.next = bytes, p.end = bytes + size;
    begin(&p, byte_of(&p));
    while (p.next < p.end && p.line < MOST_STATEMENTS) {
        uint8_t kind = byte_of(&p);

        p.line++;
        if (kind < 128)
            call_operator(&p, kind);
        else if (kind < 160)
            make_leaf(&p, kind);
        else if (kind < 192)
            follow(&p);
        else if (kind < 240)
            derive(&p, kind);
        else if (kind < 252)
            set_mode(&p, kind);
        else
            call_operator(&p, (uint32_t)byte_of(&p) << 4);
    }
    check_bits(&p);
    return 0;
}
