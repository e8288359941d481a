/* test_tbptt.c - truncated back-propagation through time: weights as a computation by hand gives
 * them, the hidden state on its way, hooks once per batch, resuming, and what is refused.
 */
#include "../../plugins/truncated.h"
#include "lhost.h"

TestSuite(tbptt, .init = enter_folder, .fini = leave_folder, .timeout = 60);

#define EVEN " --model " PLUGINS "/trainer_truncated.so "
#define UNEVEN " --model " PLUGINS "/trainer_truncated_split.so "
#define F64 "--precision 64-true "

enum { T = TRUNCATED_STEPS, BATCH = 4 };

/* By hand: h(t) = w h(t-1) + x(t) and its derivative, which begins at 0 in every piece; the loss of
 * a piece is the mean of its h^2. SGD of rate 0.1 for every piece of a stepping batch; then the
 * gradient begins at 0. `ends`: where pieces end, the last at T. */
static double by_hand(int batches, int window, const int *ends) {
    double w = 0.5, gradient = 0;

    for (int b = 0; b < batches; b++) {
        double h[BATCH] = {0};

        for (int p = 0, from = 0; from < T; from = ends[p++]) {
            double d[BATCH] = {0}, sum = 0;

            for (int t = from; t < ends[p]; t++)
                for (int i = 0; i < BATCH; i++) {
                    d[i] = h[i] + w * d[i];
                    h[i] = w * h[i] + truncated_x(b % 2 * BATCH + i, t);
                    sum += 2 * h[i] * d[i];
                }
            gradient += sum / (BATCH * (ends[p] - from)) / window;
            if ((b + 1) % window == 0) {
                w -= 0.1 * gradient;
                gradient = 0;
            }
        }
    }
    return w;
}

static double trained(const char *options) {
    const lh__state_tensor *t;

    lhost_works("fit " SAVING F64 "--callback $S:dir=$D,hooks=on_train_end %s", options);
    t = lh__state_find(checkpoint("on_train_end-0.safetensors"), "w");
    cr_assert_not_null(t);
    return *(const double *)t->data;
}

#define assert_trained(options, ...)                                                     \
    do {                                                                                 \
        double got_ = trained(options), expected_ = by_hand(__VA_ARGS__);                \
        cr_assert_float_eq(got_, expected_, 1e-13, "%.17g, not %.17g", got_, expected_); \
    } while (0)

static const int threes[] = {3, 6, 7}, ones[] = {1, 2, 3, 4, 5, 6, 7}, whole[] = {7},
                 growing[] = {1, 3, 6, 7};

Test(tbptt, gradients_end_at_the_piece) {
    assert_trained(EVEN "--max_epochs 2 --model.steps 3", 4, 1, threes);
    assert_trained(EVEN "--max_epochs 2 --model.steps 1", 4, 1, ones);
    assert_trained(EVEN "--max_epochs 2 --model.steps 7", 4, 1, whole);
    assert_trained(EVEN "--max_epochs 2 --model.steps 100", 4, 1, whole);
    cr_assert_gt(fabs(by_hand(4, 1, threes) - by_hand(4, 1, whole)), 1e-3);
}

Test(tbptt, pieces_of_the_modules_own) {
    assert_trained(UNEVEN "--max_epochs 2", 4, 1, growing);
}

Test(tbptt, accumulation) {
    assert_trained(EVEN "--max_epochs 2 --accumulate_grad_batches 2", 4, 2, threes);
}

/* Of two optimizers each runs the piece with the hidden state of the piece before. */
Test(tbptt, several_optimizers) {
    lhost_works("fit" EVEN BARE F64 "--max_epochs 1 --model.optimizers 2");
    cr_assert_eq(result_int(0, "global_step"), 12); /* 2 batches, 3 pieces, 2 optimizers */
    cr_assert_eq(result_metric(0, "steps"), 2 * 2 * T);
}

/* What the second piece finds is what the first one left; the next batch begins without. */
Test(tbptt, hidden_state) {
    double sum = 0;

    for (int i = 0; i < BATCH; i++) {
        double h = 0;

        for (int t = 0; t < 6; t++)
            h = 0.5 * h + truncated_x(BATCH + i, t);
        sum += h;
    }
    lhost_works("fit" EVEN BARE F64 "--max_epochs 1 --model.lr 0");
    cr_assert_float_eq(result_metric(0, "carried"), sum, 1e-14);
    lhost_works("fit" EVEN BARE F64 "--max_epochs 1 --model.lr 0 --model.steps 7");
    cr_assert_eq(result_metric(1, "carried"), 0);
}

Test(tbptt, hooks_and_outputs) {
    lhost_works("fit" EVEN BARE F64 "--max_epochs 1 --callback $R:file=rec");
    cr_assert_eq(entries("rec", "C.on_train_batch_start"), 2);
    cr_assert_eq(entries("rec", "C.on_train_batch_end"), 2);
    cr_assert_eq(entries("rec", "C.on_before_backward"), 6);
    cr_assert_eq(entries("rec", "C.on_before_zero_grad"), 6);
    cr_assert_eq(entries("rec", "C.on_before_optimizer_step"), 6);
    cr_assert_eq(result_int(0, "global_step"), 6);
    cr_assert_eq(result_metric(0, "pieces"), 3);
    cr_assert_eq(result_metric(0, "pieces_of_epoch"), 6);
    cr_assert_eq(result_metric(0, "steps"), 2 * T);
}

/* Every piece has random numbers of its own, and a resumed run has the same. */
Test(tbptt, resumed) {
    static const char run[] =
        "fit" EVEN SAVING "--max_epochs 2 --model.items 20 --model.dropout 0.5 "
        "--accumulate_grad_batches 2 --callback $S:dir=$D/%s,hooks='%s' %s%d%s";
    static const char *const keys[] = {"loops", "metrics", "optimizer_states", NULL};
    char why[400];

    lhost_works(run, "whole", "on_train_batch_end on_train_end", "--num_threads ", 1, "");
    for (int i = 0; i < 10; i++) {
        remove("part/on_train_end-0.safetensors");
        lhost_works(run, "part", "on_train_end", "--ckpt_path whole/on_train_batch_end-", i,
                    ".safetensors");
        cr_assert(same_state("whole/on_train_end-0.safetensors", "part/on_train_end-0.safetensors",
                             keys, why),
                  "from %d: %s", i, why);
    }
}

Test(tbptt, mistakes) {
    static const struct {
        const char *options, *says;
        int code;
    } cases[] = {
        {EVEN "--model.steps -1", "a piece has 1 step or more, not -1", 2},
        {UNEVEN "--model.steps 0", "asks for no truncated back-propagation: call lh_tbptt", 2},
        {EVEN "--model.keep other", "lh_hidden \"h\": the step of the piece before kept nothing",
         1},
        {UNEVEN "--model.split endless", "tbptt_split_batch gave 7 parts of a batch", 1},
        {UNEVEN "--model.split other", "tbptt_split_batch returned another batch", 1},
        {UNEVEN "--model.split nothing", "tbptt_split_batch returned no part at all", 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(lhost("fit %s " BARE "--max_epochs 1", cases[i].options), cases[i].code,
                     "%s: %s", cases[i].options, slurp("err"));
        assert_says(cases[i].says);
    }
}
