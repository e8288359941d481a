/* tensor.c - tensors of a step: around memory, with a copy of it, read, written, assigned. */
#include <math.h>
#include <string.h>

#include "engine/state.h"
#include "kernels/view.h"

lh_tensor *lh__tensor_alloc(lh__engine *e) {
    lh_tensor *t = lh__arena_alloc(&e->arena, sizeof *t);

    if (!t) {
        lh__fail_here(e, LH_ENOMEM, "no memory for the tensors of a step");
        return NULL;
    }
    t->node = NULL;
    t->param = t->base = NULL;
    t->grad = NULL;
    t->parts = NULL;
    t->requires_grad = t->value = 0;
    t->limit = 0;
    return t;
}

int32_t lh__same_shape(const lh__view *a, const lh__view *b) {
    if (a->ndim != b->ndim)
        return 0;
    for (int32_t d = 0; d < a->ndim; d++)
        if (a->shape[d] != b->shape[d])
            return 0;
    return 1;
}

int32_t lh__is_countable(const lh__view *v) {
    int64_t left = (int64_t)1 << 48;

    for (int32_t d = 0; d < v->ndim; d++)
        left /= v->shape[d] > 0 ? v->shape[d] : 1;
    return left > 0;
}

int64_t lh__view_make_contiguous(lh__view *v) {
    int64_t n = 1;

    if (!lh__is_countable(v))
        return -1;
    for (int32_t d = v->ndim - 1; d >= 0; d--) {
        v->stride[d] = n;
        n *= v->shape[d];
    }
    return n * lh__dtype_size(v->dtype);
}

static lh_status check_shape(lh__engine *e, int32_t dtype, int32_t ndim, const int64_t *shape) {
    if (dtype < LH_F32 || dtype > LH_I32)
        return lh__fail_here(e, LH_EDTYPE, "tensor: %d is no dtype", dtype);
    if (ndim < 0 || ndim > LH_MAX_DIMS)
        return lh__fail_here(e, LH_ESHAPE, "tensor: %d axes; 0 to %d are possible", ndim,
                             LH_MAX_DIMS);
    for (int32_t d = 0; d < ndim; d++)
        if (shape[d] < 0)
            return lh__fail_here(e, LH_ESHAPE, "tensor: axis %d can't have length %lld", d,
                                 (long long)shape[d]);
    return LH_OK;
}

lh_status lh__view_init(lh__engine *e, lh__view *v, int32_t dtype, int32_t ndim,
                        const int64_t *shape, int64_t *bytes) {
    lh_status status = check_shape(e, dtype, ndim, shape);

    if (status != LH_OK)
        return status;
    v->data = NULL;
    v->dtype = dtype;
    v->ndim = ndim;
    for (int32_t d = 0; d < ndim; d++)
        v->shape[d] = shape[d];
    *bytes = lh__view_make_contiguous(v);
    return *bytes < 0 ? lh__fail_here(e, LH_ESHAPE, "tensor: more elements than can be counted")
                      : LH_OK;
}

lh_tensor *lh__tensor_wrap(lh__engine *e, int32_t dtype, int32_t ndim, const int64_t *shape,
                           const void *data) {
    lh_tensor *t = lh__tensor_alloc(e);
    int64_t bytes;

    if (!t || lh__view_init(e, &t->view, dtype, ndim, shape, &bytes) != LH_OK)
        return NULL;
    t->view.data = (void *)data;
    return t;
}

lh_tensor *lh__tensor_new(lh__engine *e, int32_t dtype, int32_t ndim, const int64_t *shape,
                          const void *data) {
    lh_tensor *t = lh__tensor_alloc(e);
    int64_t bytes;

    if (!t || lh__view_init(e, &t->view, dtype, ndim, shape, &bytes) != LH_OK)
        return NULL;
    t->view.data = lh__arena_alloc(&e->arena, (size_t)bytes);
    if (!t->view.data) {
        lh__fail_here(e, LH_ENOMEM, "tensor: no memory for %lld bytes", (long long)bytes);
        return NULL;
    }
    if (data)
        memcpy(t->view.data, data, (size_t)bytes);
    else
        memset(t->view.data, 0, (size_t)bytes);
    return t;
}

/* Reading and writing. */

/* The tensor, contiguous. */
static const lh__view *contiguous(lh__engine *e, const lh_tensor *t, lh__view *room) {
    if (lh__view_is_contiguous(&t->view))
        return &t->view;
    room->dtype = t->view.dtype;
    room->ndim = t->view.ndim;
    for (int32_t d = 0; d < t->view.ndim; d++)
        room->shape[d] = t->view.shape[d];
    room->data = lh__arena_alloc(&e->arena, (size_t)lh__view_make_contiguous(room));
    if (!room->data) {
        lh__fail_here(e, LH_ENOMEM, "no memory to read a tensor");
        return NULL;
    }
    lh__copy(e, &t->view, room);
    return room;
}

void lh__copy(lh__engine *e, const lh__view *from, const lh__view *to) {
    e->device->kernels[LH__OP_COPY](
        &(lh__kernel_call){.op = LH__OP_COPY, .n_in = 1, .in = &from, .out = to, .pool = e->pool});
}

static lh_status check_size(lh__engine *e, const char *what, const lh__view *v, uint64_t size) {
    uint64_t has = (uint64_t)(lh__view_numel(v) * lh__dtype_size(v->dtype));
    char shape[LH__SHAPE_TEXT];

    if (has == size)
        return LH_OK;
    return lh__fail(e->err, LH_EINVAL, "%s: the tensor %s %s has %llu bytes, not %llu", what,
                    lh__dtype_name(v->dtype), lh__shape_text(v->ndim, v->shape, shape),
                    (unsigned long long)has, (unsigned long long)size);
}

/* Reading changes nothing but where a tensor says that it lies. */
static lh_status computed(lh__engine *e, const lh_tensor *t) {
    lh_status status = lh__computed(e, (lh_tensor *)t);

    return status == LH_OK ? lh__settle(e) : status;
}

lh_status lh__tensor_read(lh__engine *e, const lh_tensor *t, void *dst, uint64_t size) {
    lh__view room;
    const lh__view *v;
    lh_status status = check_size(e, "read", &t->view, size);

    if (status != LH_OK || size == 0 || (status = computed(e, t)) != LH_OK)
        return status;
    v = contiguous(e, t, &room);
    if (!v)
        return LH_ENOMEM;
    memcpy(dst, v->data, size);
    return LH_OK;
}

lh_status lh__tensor_write(lh__engine *e, lh_tensor *t, const void *src, uint64_t size) {
    lh_status status = check_size(e, "write", &t->view, size);

    if (status != LH_OK || size == 0 || (status = computed(e, t)) != LH_OK)
        return status;
    if (!lh__view_is_contiguous(&t->view))
        return lh__fail(e->err, LH_EINVAL,
                        "write: the tensor is a view with gaps; write to the "
                        "parameter itself");
    memcpy(t->view.data, src, size);
    if (t->base)
        lh__param_overwritten(e, t->base);
    return LH_OK;
}

/* The tensor in order, in memory of its own; NULL on an error. */
static const lh_tensor *unshared(lh__engine *e, const lh_tensor *t) {
    lh_tensor *in = (lh_tensor *)t;
    int32_t recording = lh__set_grad_enabled(e, 0);
    const lh_tensor *out =
        lh__op(e, &(lh_op_call){.op = LH_OP_CONTIGUOUS, .n_inputs = 1, .inputs = &in});

    lh__set_grad_enabled(e, recording);
    return out;
}

lh_status lh__tensor_assign(lh__engine *e, lh_tensor *dst, const lh_tensor *src) {
    char a[LH__SHAPE_TEXT], b[LH__SHAPE_TEXT];
    lh_status status = dst->value ? lh__computed(e, dst) : LH_OK;

    if (status == LH_OK && src->value)
        status = lh__locate(e, (lh_tensor *)src);
    if (status != LH_OK)
        return status;
    if (!lh__same_shape(&dst->view, &src->view))
        return lh__fail_here(e, LH_ESHAPE, "assign: %s can't become %s; reshape it first",
                             lh__shape_text(dst->view.ndim, dst->view.shape, a),
                             lh__shape_text(src->view.ndim, src->view.shape, b));
    if (!lh__view_is_contiguous(&dst->view))
        return lh__fail_here(e, LH_EINVAL,
                             "assign: the target is a view with gaps; assign to the "
                             "parameter itself");
    if (lh__view_numel(&dst->view) == 0)
        return LH_OK;
    if (!lh__view_is_contiguous(&src->view))
        src = unshared(e, src); /* it may look at the target's own memory */
    if (!src)
        return LH_ENOMEM;
    if (src->value || src->view.data != dst->view.data)
        status = lh__invoke(e,
                            &(lh__kernel_call){.op = LH__OP_COPY,
                                               .n_in = 1,
                                               .in = (const lh__view *[]){&src->view},
                                               .out = &dst->view,
                                               .pool = e->pool},
                            (int32_t[]){src->value, 0}, 0);
    if (dst->base)
        lh__param_overwritten(e, dst->base);
    else if (status == LH_OK)
        status = lh__settle(e); /* see runs_now of operator.c */
    return status;
}

double lh__item(lh__engine *e, const lh_tensor *t) {
    char shape[LH__SHAPE_TEXT];
    lh__view one = t->view, real;
    _Alignas(64) double value;

    if (lh__view_numel(&one) != 1) {
        lh__fail(e->err, LH_ESHAPE, "item: %s is not one element; reduce it first",
                 lh__shape_text(one.ndim, one.shape, shape));
        return NAN;
    }
    if (computed(e, t) != LH_OK)
        return NAN;
    one.data = t->view.data;
    one.ndim = 0;
    real = (lh__view){.data = &value, .dtype = LH_F64};
    lh__copy(e, &one, &real);
    return value;
}
