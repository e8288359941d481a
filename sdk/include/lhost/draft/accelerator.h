/* accelerator.h (draft) - a device that the host computes on.
 *
 * Drafts may change in any release: a plugin of a draft kind works with the host it was built for.
 * Memory is named by the accelerator's own addresses; work on a stream runs in order. [trainer]
 */
#ifndef LHOST_DRAFT_ACCELERATOR_H
#define LHOST_DRAFT_ACCELERATOR_H

#include "../host.h"

LH_EXTERN_C_BEGIN

#define LH_DRAFT_ACCELERATOR_REVISION 1

typedef struct lh_draft_stream lh_draft_stream;
typedef struct lh_draft_event lh_draft_event;

/* A strided buffer of the device; strides count elements. */
typedef struct lh_draft_buffer {
    void *data;
    int32_t dtype, ndim;
    int64_t shape[LH_MAX_DIMS], stride[LH_MAX_DIMS];
} lh_draft_buffer;

typedef struct lh_draft_accelerator {
    uint32_t struct_size, state_size;
    uint32_t revision; /* LH_DRAFT_ACCELERATOR_REVISION */
    uint32_t reserved;

    lh_status (*device_count)(lh_ctx *c, void *self, int32_t *count);
    lh_status (*open)(lh_ctx *c, void *self, int32_t device);
    void *(*alloc)(lh_ctx *c, void *self,
                   uint64_t size); /* 256-byte aligned; NULL: out of memory */
    void (*free)(lh_ctx *c, void *self, void *data);
    lh_draft_stream *(*stream)(lh_ctx *c, void *self);
    lh_status (*copy_in)(lh_ctx *c, void *self, lh_draft_stream *s, void *dst, const void *src,
                         uint64_t size);
    lh_status (*copy_out)(lh_ctx *c, void *self, lh_draft_stream *s, void *dst, const void *src,
                          uint64_t size);
    lh_status (*wait)(lh_ctx *c, void *self, lh_draft_stream *s);
    /* 1 if the device runs this operator on these dtypes itself. */
    int32_t (*supports)(lh_ctx *c, void *self, uint32_t op, const int32_t *dtypes, int32_t n);
    lh_status (*run)(lh_ctx *c, void *self, lh_draft_stream *s, const lh_op_call *call,
                     const lh_draft_buffer *const *inputs, const lh_draft_buffer *output);
    lh_status (*close)(lh_ctx *c, void *self);
} lh_draft_accelerator;

LH_EXTERN_C_END
#endif
