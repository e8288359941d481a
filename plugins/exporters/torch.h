/* torch.h - the parts of the exporter plugin `torchscript`: an archive that torch.jit.load runs.
 *
 * Parameters keep their names: "layer_1.weight" is the attribute `weight` of the submodule
 * `layer_1`, so that state_dict() has the names that checkpoints have.
 */
#ifndef LHOST_EXPORTERS_TORCH_H
#define LHOST_EXPORTERS_TORCH_H

#include "buffer.h"

/* Appends a statement that computes the node's value; records an error where there is none. */
void torch_statement(lh_ctx *c, struct buffer *code, const lh_draft_graph *graph,
                     const lh_draft_node *node);

int32_t torch_maps(uint32_t op);

int torch_dtype(int32_t dtype); /* c10::ScalarType */

/* "3", "batch", "batch*4 - 1" */
void torch_size(struct buffer *b, int64_t base, int64_t per_batch);

/* A zip archive: files in order, then the end. Data are stored as they are, aligned to 64 bytes. */
struct torch_archive {
    struct buffer files, directory;
    uint32_t n;
};

void torch_add(struct torch_archive *a, const char *name, const void *data, size_t size);
void torch_add_buffer(struct torch_archive *a, const char *name, const struct buffer *b);
lh_status torch_save(lh_ctx *c, struct torch_archive *a, const char *path);

#endif
