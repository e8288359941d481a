/* The trainer's options: defaults of Lightning 2.6, types, ranges, and what follows from what. */
#include "load.h"

TestSuite(options, .fini = remove_files);

static lh__options finished(const char *const *words) {
    lh__config c = load(NULL, words);
    lh__options o = c.trainer;

    memset(&c.trainer, 0, sizeof c.trainer); /* keep the texts */
    lh__config_free(&c);
    return o;
}

static int same_amount(lh__amount a, lh__amount b) {
    return a.value == b.value && a.unit == b.unit;
}

Test(options, defaults_are_lightnings) {
    lh__options o = finished(WORDS("--json"));
    lh__amount all = {1.0, LH__FRACTION};

    cr_expect_eq(o.max_epochs, 1000);
    cr_expect(o.min_epochs == 0 && o.max_steps == -1 && o.min_steps == 0 && o.max_time == 0);
    cr_expect(o.fast_dev_run == 0 && o.num_sanity_val_steps == 2 && o.log_every_n_steps == 50);
    cr_expect(same_amount(o.limit_train_batches, all));
    cr_expect(same_amount(o.val_check_interval, all));
    cr_expect(o.check_val_every_n_epoch == 1 && o.accumulate_grad_batches == 1);
    cr_expect(o.enable_checkpointing && o.enable_progress_bar && o.enable_model_summary &&
              o.logger);
    cr_expect(o.gradient_clip_val == 0 && !o.detect_anomaly && !o.barebones);
    cr_expect_str_eq(o.gradient_clip_algorithm, "norm");
    cr_expect_str_eq(o.accelerator, "cpu");
    cr_expect_str_eq(o.precision, "32-true");
    cr_expect_str_eq(o.default_root_dir, ".");
    cr_expect_eq(o.dtype, LH_F32);
    cr_expect_eq(o.given, 0);
    lh__options_free(&o);
}

Test(options, other_limits_lift_the_thousand_epochs) {
    const char *const *const limits[] = {
        WORDS("--max_steps", "5"), WORDS("--max_time", "00:00:00:05"), WORDS("--max_epochs", "-1")};

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        lh__options o = finished(limits[i]);
        cr_expect_eq(o.max_epochs, -1);
        cr_expect_str_empty(heard);
        lh__options_free(&o);
    }
}

Test(options, one_batch_is_not_the_whole) {
    lh__options o = finished(WORDS("--limit_train_batches", "1", "--limit_val_batches", "1.0",
                                   "--limit_test_batches", "0.25", "--limit_predict_batches", "7.0",
                                   "--max_epochs", "1"));

    cr_expect(o.limit_train_batches.unit == LH__BATCHES && o.limit_train_batches.value == 1);
    cr_expect(o.limit_val_batches.unit == LH__FRACTION && o.limit_val_batches.value == 1);
    cr_expect(o.limit_test_batches.unit == LH__FRACTION && o.limit_test_batches.value == 0.25);
    cr_expect(o.limit_predict_batches.unit == LH__BATCHES && o.limit_predict_batches.value == 7);
    lh__options_free(&o);
}

Test(options, durations) {
    cr_expect_eq(lh__parse_duration("00:12:00:00"), 12 * 3600.0);
    cr_expect_eq(lh__parse_duration("1:02:03:04"), 86400.0 + 2 * 3600 + 3 * 60 + 4);
    cr_expect_eq(lh__parse_duration("00:05:00"), 300.0);
    cr_expect_eq(lh__parse_duration("5:00"), -1.0);
    cr_expect_eq(lh__parse_duration("1:2:3:4:5"), -1.0);
    cr_expect_eq(lh__parse_duration(""), -1.0);
    cr_expect_eq(lh__parse_duration("00:-5:00"), -1.0);
    cr_expect_eq(lh__parse_duration("00:05:00x"), -1.0);
}

Test(options, times_have_several_forms) {
    const char *file = file_with("t.yaml", "trainer:\n  max_time: {hours: 1, minutes: 30}\n"
                                           "  val_check_interval: 00:00:10:00\n");
    lh__options o = finished(WORDS("--config", file));

    cr_expect_eq(o.max_time, 5400);
    cr_expect(o.val_check_interval.unit == LH__SECONDS && o.val_check_interval.value == 600);
    lh__options_free(&o);
    o = finished(WORDS("--max_time", "90"));
    cr_expect_eq(o.max_time, 90);
    lh__options_free(&o);
}

Test(options, bad_values_are_refused) {
    static const struct {
        const char *name, *value, *part;
    } bad[] = {
        {"--max_epochs", "-2", "an integer from -1"},
        {"--max_steps", "-2", "an integer from -1"},
        {"--max_epochs", "3.0", "an integer"},
        {"--fast_dev_run", "-1", "true, false or an integer"},
        {"--limit_train_batches", "-1", "a fraction from 0.0 to 1.0"},
        {"--limit_train_batches", "1.5", "neither a fraction"},
        {"--limit_train_batches", "some", "a number of batches"},
        {"--limit_train_batches", "00:00:05:00", "a number of batches"},
        {"--val_check_interval", "0", "never validate"},
        {"--check_val_every_n_epoch", "0", "an integer from 1"},
        {"--reload_dataloaders_every_n_epochs", "-1", "an integer from 0"},
        {"--num_sanity_val_steps", "-2", "an integer from -1"},
        {"--max_time", "soon", "DD:HH:MM:SS"},
        {"--gradient_clip_val", "much", "a number"},
        {"--gradient_clip_algorithm", "both", "norm or value"},
        {"--accumulate_grad_batches", "0", "an integer from 1"},
        {"--enable_progress_bar", "maybe", "true or false"},
        {"--accelerator", "quantum", "auto, cpu or ref"},
        {"--devices", "0", "auto, 1 or -1"},
        {"--num_nodes", "0", "1"},
        {"--precision", "31", "32-true"},
        {"--max_epochs", ".inf", "not possible"},
        {"--seed_everything", "-1", "an integer from 0"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(bad[i].part, LH_EINVAL, NULL, WORDS(bad[i].name, bad[i].value));
}

Test(options, known_but_not_available_is_said_to_be_so) {
    static const char *const planned[][2] = {
        {"--precision", "bf16-true"}, {"--precision", "16-true"}, {"--accelerator", "gpu"},
        {"--accelerator", "cuda"},    {"--devices", "2"},         {"--num_nodes", "2"},
        {"--strategy", "ddp"},        {"--profiler", "advanced"}};

    for (size_t i = 0; i < sizeof planned / sizeof *planned; i++)
        refused("is not available in this version", LH_EUNSUPPORTED, NULL,
                WORDS(planned[i][0], planned[i][1]));
}

Test(options, names_become_final) {
    lh__options o = finished(WORDS("--precision", "64", "--accelerator", "ref", "--max_epochs", "1",
                                   "--deterministic", "true"));

    cr_expect_str_eq(o.precision, "64-true");
    cr_expect_str_eq(o.accelerator, "ref");
    cr_expect_eq(o.dtype, LH_F64);
    cr_expect(lh__options_given(&o, "precision") && !lh__options_given(&o, "max_steps"));
    lh__options_free(&o);
}

Test(options, precisions) {
    static const char *const names[][2] = {
        {"32", "32-true"},       {"32-true", "32-true"},       {"64", "64-true"},
        {"bf16", "bf16-mixed"},  {"bf16-mixed", "bf16-mixed"}, {"16", "16-mixed"},
        {"16-mixed", "16-mixed"}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lh__options o = finished(WORDS("--precision", names[i][0], "--max_epochs", "1"));

        cr_expect_str_eq(o.precision, names[i][1]);
        cr_expect_str_eq(o.float32_matmul_precision, "highest");
        cr_expect(!o.pin_threads && !o.flush_denormal);
        cr_expect_eq(o.dtype, i == 2 ? LH_F64 : LH_F32);
        lh__options_free(&o);
    }
}

Test(options, what_is_asked_of_threads) {
    lh__options o = finished(
        WORDS("--pin_threads", "true", "--trainer.flush_denormal", "true", "--max_epochs", "1"));

    cr_expect(o.pin_threads && o.flush_denormal);
    lh__options_free(&o);
    refused("true or false", LH_EINVAL, NULL, WORDS("--pin_threads", "2"));
}

Test(options, products_of_float32) {
    lh__options o = finished(WORDS("--float32_matmul_precision", "high", "--max_epochs", "1"));

    cr_expect_str_eq(o.float32_matmul_precision, "high");
    lh__options_free(&o);
    refused("highest or high", LH_EINVAL, NULL, WORDS("--float32_matmul_precision", "medium"));
    refused("high is for trainer.precision 32-true", LH_EINVAL, NULL,
            WORDS("--float32_matmul_precision", "high", "--precision", "16"));
}

Test(options, fast_dev_run_implies) {
    lh__options o = finished(WORDS("--fast_dev_run", "3", "--max_epochs", "9",
                                   "--val_check_interval", "5", "--check_val_every_n_epoch", "2"));
    lh__amount three = {3, LH__BATCHES}, all = {1.0, LH__FRACTION};

    cr_expect(same_amount(o.limit_train_batches, three));
    cr_expect(same_amount(o.limit_val_batches, three));
    cr_expect(same_amount(o.limit_test_batches, three));
    cr_expect(same_amount(o.limit_predict_batches, three));
    cr_expect(same_amount(o.val_check_interval, all));
    cr_expect(o.max_steps == 3 && o.max_epochs == 1 && o.num_sanity_val_steps == 0);
    cr_expect(o.check_val_every_n_epoch == 1 && o.logger == 0);
    cr_expect(strstr(heard, "1 fast_dev_run"), "%s", heard);
    lh__options_free(&o);
}

Test(options, overfitting_limits_training_and_validation) {
    lh__options o = finished(WORDS("--overfit_batches", "4", "--max_epochs", "1"));

    cr_expect(o.limit_train_batches.value == 4 && o.limit_val_batches.value == 4);
    cr_expect(o.limit_test_batches.unit == LH__FRACTION);
    lh__options_free(&o);
}

Test(options, barebones_switches_costs_off) {
    lh__options o = finished(WORDS("--barebones", "--max_epochs", "1"));

    cr_expect(!o.logger && !o.enable_checkpointing && !o.enable_progress_bar);
    cr_expect(!o.enable_model_summary && o.log_every_n_steps == 0 && o.num_sanity_val_steps == 0);
    lh__options_free(&o);
    refused("barebones", LH_EINVAL, NULL, WORDS("--barebones", "--enable_progress_bar", "true"));
    refused("barebones", LH_EINVAL, NULL, WORDS("--barebones", "--log_every_n_steps", "5"));
    refused("barebones", LH_EINVAL, NULL, WORDS("--barebones", "--fast_dev_run"));
    o = finished(WORDS("--barebones", "--logger", "false", "--max_epochs", "1"));
    lh__options_free(&o);
}

Test(options, validation_across_epochs_needs_a_count) {
    lh__options o = finished(WORDS("--check_val_every_n_epoch", "null", "--val_check_interval",
                                   "500", "--max_epochs", "1"));

    cr_expect_eq(o.check_val_every_n_epoch, 0);
    lh__options_free(&o);
    refused("must be a number of batches", LH_EINVAL, NULL,
            WORDS("--check_val_every_n_epoch", "null"));
}

Test(options, min_steps_ask_for_an_epoch) {
    lh__options o = finished(WORDS("--min_steps", "10", "--max_epochs", "5"));

    cr_expect(o.min_epochs == 1 && o.min_steps == 10);
    lh__options_free(&o);
}

Test(options, every_row_has_a_default_that_it_accepts) {
    for (int32_t i = 0; i < lh__n_option_rows; i++) {
        const lh__option_row *row = &lh__option_rows[i];
        cr_expect_eq(lh__option_find(row->name), row);
        cr_expect(*row->help && strlen(row->help) < 90, "%s", row->name);
        cr_expect_null(lh__option_alias_find(row->name), "%s is also an older name", row->name);
        cr_expect(strcmp(row->json, "null") != 0 || row->unset, "%s: null means nothing",
                  row->name);
    }
    for (int32_t i = 0; i < lh__n_option_aliases; i++) {
        const char *now = lh__option_aliases[i].now;
        cr_expect(!now || lh__option_find(now) || strcmp(now, "callbacks") == 0 ||
                      strcmp(now, "ckpt_path") == 0,
                  "%s leads nowhere", lh__option_aliases[i].name);
    }
}
