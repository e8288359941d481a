/* text.h - characters to be predicted from those before them: Shakespeare's, or a made-up text's.
 */
#ifndef TEXT_H
#define TEXT_H

#include <lhost/lhost.h>

/* The vocabulary is the distinct bytes of the text, in ascending order; a character is a place in
 * it. The first nine tenths are for training, the rest for validation. */
struct text {
    const uint8_t *characters;
    int64_t length, train, classes; /* classes: size of the vocabulary */
    char vocabulary[256];
};

/* In prepare_data: sees to it that there is a text. tinyshakespeare (1.1 MB) if it is in the data
 * root, else downloaded and checked, else a text that a small grammar makes; says so. */
lh_status text_prepare(lh_ctx *c);

/* The text that text_prepare found or made, to live with the run; NULL where there is none. Errors:
 * it has more different characters than `vocab_size`. */
const struct text *text_read(lh_ctx *c, int64_t vocab_size);

/* Draws the next character by logits (classes) over `temperature`, among the `top_k` likeliest. */
int64_t text_draw(lh_ctx *c, lh_tensor *logits, double temperature, int64_t top_k);

/* Prints what a model wrote, and appends it to samples.txt in the run's folder. */
lh_status text_show(lh_ctx *c, const struct text *text, const int64_t *characters, int64_t n);

/* Datasets of the part for training, or for validation: field 0 is `length` characters, field 1
 * those that follow each of them.
 *
 * text_windows: a window at every place of the text, to be shuffled; for validation side by side.
 * text_streams: for batches of `rows`, in order: row r goes on where row r of the batch before
 * ended, so that a model can carry on what it remembers. An epoch is once through the text. */
lh_dataset *text_windows(lh_ctx *c, const struct text *text, int is_val, int64_t length);
lh_dataset *text_streams(lh_ctx *c, const struct text *text, int is_val, int64_t rows,
                         int64_t length);

#endif
