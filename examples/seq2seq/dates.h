/* dates.h - dates as people write them, and as ISO 8601 does.
 *
 *     "the 3rd of March, 1987"  "1987-03-03"
 *     "03/27/87 (Fri)"          "1987-03-27"     slashes: the month comes first
 *     "27.3.1987"               "1987-03-27"     dots: the day comes first
 *     "March '87"               "1987-03"        no more is known
 *
 * Days from 1930 to 2029, so that two digits of a year mean one year. Every tenth day is one of
 * validation only, every tenth of test only: no day of these is in the training set in any form.
 */
#ifndef DATES_H
#define DATES_H

#include <lhost/lhost.h>

/* Characters of a text, and of START, an ISO date and END. Shorter ones end with PAD. */
enum { DATES_SOURCE = 28, DATES_TARGET = 12 };

/* Symbols. Source: PAD, then 1 for a space and so on in the order of ASCII. */
enum {
    DATES_PAD = 0,
    DATES_START = 1,
    DATES_END = 2,
    DATES_SOURCE_SYMBOLS = 96,
    DATES_TARGET_SYMBOLS = 14 /* PAD, START, END, -, 0 ... 9 */
};

enum dates_part { DATES_TRAIN, DATES_VAL, DATES_TEST };

/* Pair `index` of a part, always the same: symbols, padded. */
void dates_pair(enum dates_part part, int64_t index, int64_t source[DATES_SOURCE],
                int64_t target[DATES_TARGET]);

/* Where symbols are PAD: BOOL of their shape. */
lh_tensor *dates_padding(lh_ctx *c, lh_tensor *symbols);

/* The share of a batch whose dates are right to the last character. `written`: the symbols that a
 * model wrote, (batch, DATES_TARGET - 1), without START; what follows END doesn't count. */
lh_tensor *dates_exact(lh_ctx *c, const lh_batch *batch, lh_tensor *written);

/* For the person who watches: the first n pairs of a batch (fewer if it is smaller) and what was
 * written for them. */
void dates_show(lh_ctx *c, const lh_batch *batch, lh_tensor *written, int64_t n);

/* Likewise, with what each symbol looked at: weights (batch, DATES_TARGET - 1, DATES_SOURCE),
 * shares of 1, in tenths below the text. */
void dates_show_attention(lh_ctx *c, const lh_batch *batch, lh_tensor *written, lh_tensor *weights,
                          int64_t n);

/* Pairs as a data module: field 0 (source) I64, field 1 (target) I64. Hyper-parameters: batch_size,
 * train_length. */
extern const lh_datamodule dates_data;

#endif
