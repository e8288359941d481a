/* Environment, files and command line: who wins, what is unknown, how a run is repeated. */
#include "load.h"

#include <lhost/run.h>

TestSuite(sources, .fini = remove_files);

Test(sources, each_beats_the_one_before) {
    const char *file = file_with("a.yaml", "trainer:\n  max_epochs: 3\n  max_steps: 30\n");
    char *const *env = ENV("LHOST_TRAINER__MAX_EPOCHS=2", "LHOST_TRAINER__MIN_EPOCHS=1",
                           "LHOST_TRAINER__MAX_STEPS=20");
    lh__config c = load(env, WORDS("--config", file, "--trainer.max_epochs", "4"));

    cr_expect_eq(c.trainer.min_epochs, 1);
    cr_expect_eq(c.trainer.max_steps, 30);
    cr_expect_eq(c.trainer.max_epochs, 4);
    cr_expect_eq(c.trainer.log_every_n_steps, 50);
    lh__config_free(&c);
}

Test(sources, files_and_options_count_in_their_order) {
    const char *a = file_with("a.yaml", "trainer: {max_epochs: 3}\nseed_everything: 5\n");
    const char *b = file_with("b.json", "{\"trainer\": {\"max_epochs\": 7}}");
    lh__config c = load(NULL, WORDS("--max_epochs", "1", "-c", a, "--config", b));

    cr_expect_eq(c.trainer.max_epochs, 7);
    cr_expect_eq(c.seed, 5);
    cr_expect_str_eq(lh__config_origin(&c, "trainer.max_epochs"), b);
    cr_expect(strstr(lh__config_origin(&c, "seed_everything"), "a.yaml:2:18"));
    lh__config_free(&c);
    c = load(NULL, WORDS("-c", b, "-c", a, "--max_epochs=1"));
    cr_expect_eq(c.trainer.max_epochs, 1);
    cr_expect_str_eq(lh__config_origin(&c, "trainer.max_epochs"), "command line");
    cr_expect_str_eq(lh__config_origin(&c, "trainer.max_steps"), "default");
    lh__config_free(&c);
}

Test(sources, an_option_has_several_spellings) {
    const char *const *const spellings[] = {
        WORDS("--trainer.max_epochs", "3"), WORDS("--trainer.max_epochs=3"),
        WORDS("--max_epochs", "3"),         WORDS("--max-epochs", "3"),
        WORDS("--trainer.max-epochs=3"),    WORDS("--max_epochs", "+3"),
    };

    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        lh__config c = load(NULL, spellings[i]);
        cr_expect_eq(c.trainer.max_epochs, 3);
        lh__config_free(&c);
    }
}

Test(sources, flags_may_stand_bare) {
    lh__config c = load(NULL, WORDS("--fast_dev_run", "--detect_anomaly", "--test", "--json"));

    cr_expect_eq(c.trainer.fast_dev_run, 1);
    cr_expect_eq(c.trainer.detect_anomaly, 1);
    cr_expect(c.test && c.json && !c.print_config);
    lh__config_free(&c);
    c = load(NULL, WORDS("--fast_dev_run", "3", "--detect_anomaly", "false", "--test=false"));
    cr_expect_eq(c.trainer.fast_dev_run, 3);
    cr_expect_eq(c.trainer.detect_anomaly, 0);
    cr_expect_eq(c.test, 0);
    lh__config_free(&c);
}

Test(sources, models_data_and_lists) {
    lh__config c =
        load(NULL, WORDS("--model", "a.so", "--model=b.so", "--model.lr", "0.25", "--data", "dm.so",
                         "--data.batch_size", "64", "--data.root", "/d", "--data.num-workers=2",
                         "--data.size", "9", "--callback", "early-stop:monitor=val_loss,patience=3",
                         "--callback", "timer", "--logger", "csv:name=007", "--ckpt_path", "last",
                         "--seed_everything", "42", "--num_threads", "3"));

    cr_assert_eq(c.n_models, 2);
    cr_expect_str_eq(c.models[0].plugin, "a.so");
    cr_expect_str_eq(c.models[1].plugin, "b.so");
    cr_expect_eq(json_real_value(json_object_get(c.models[1].hparams, "lr")), 0.25);
    cr_expect_eq(json_object_size(c.models[0].hparams), 1);
    cr_expect_str_eq(c.data.plugin, "dm.so");
    cr_expect_eq(json_integer_value(json_object_get(c.data.hparams, "size")), 9);
    cr_expect_eq(json_object_size(c.data.hparams), 1);
    cr_expect_eq(c.data_batch_size, 64);
    cr_expect_eq(c.data_num_workers, 2);
    cr_expect_str_eq(c.data_root, "/d");
    cr_assert_eq(c.n_callbacks, 2);
    cr_expect_str_eq(c.callbacks[0].plugin, "early-stop");
    cr_expect_eq(json_integer_value(json_object_get(c.callbacks[0].hparams, "patience")), 3);
    cr_expect_str_eq(c.callbacks[1].plugin, "timer");
    cr_assert_eq(c.n_loggers, 1);
    cr_expect_str_eq(c.loggers[0].plugin, "csv");
    cr_expect_str_eq(c.ckpt_path, "last");
    cr_expect(c.seed == 42 && c.num_threads == 3);
    lh__config_free(&c);
}

Test(sources, defaults_of_what_is_not_given) {
    lh__config c = load(NULL, WORDS("--max_epochs", "1"));

    cr_expect_eq(c.n_models, 0);
    cr_expect_null(c.data.plugin);
    cr_expect_null(c.data_root);
    cr_expect_null(c.ckpt_path);
    cr_expect(c.data_batch_size == 0 && c.data_num_workers == -1 && c.seed == 0);
    cr_expect_eq(c.n_callbacks, 0);
    cr_assert_eq(c.n_loggers, 2);
    cr_expect_str_eq(c.loggers[0].plugin, "csv");
    cr_expect_str_eq(c.loggers[1].plugin, "tensorboard");
    lh__config_free(&c);
}

Test(sources, loggers_can_be_switched_off) {
    const char *file = file_with("l.yaml", "loggers: [csv]\n");
    lh__config c = load(NULL, WORDS("--config", file, "--logger", "false"));

    cr_expect_eq(c.n_loggers, 0);
    lh__config_free(&c);
    c = load(NULL, WORDS("--config", file, "--logger", "a", "--logger", "b"));
    cr_expect_eq(c.n_loggers, 2);
    lh__config_free(&c);
    c = load(NULL, WORDS("--fast_dev_run", "true"));
    cr_expect_eq(c.n_loggers, 0);
    lh__config_free(&c);
}

Test(sources, a_file_may_hold_everything) {
    const char *file = file_with("all.yaml", "seed_everything: 3\n"
                                             "model:\n  plugin: [a.so, b.so]\n  hidden: 64\n"
                                             "data: dm.so\n"
                                             "callbacks:\n"
                                             "- early-stop:monitor=val_loss\n"
                                             "- plugin: model-checkpoint\n  save_top_k: 2\n"
                                             "loggers: csv\n"
                                             "trainer:\n  limit_val_batches: 1\n");
    lh__config c = load(NULL, WORDS("--config", file, "--callback", "timer"));

    cr_expect_eq(c.n_models, 2);
    cr_expect_str_eq(c.data.plugin, "dm.so");
    cr_assert_eq(c.n_callbacks, 3);
    cr_expect_eq(json_integer_value(json_object_get(c.callbacks[1].hparams, "save_top_k")), 2);
    cr_expect_str_eq(c.callbacks[2].plugin, "timer");
    cr_expect_eq(c.n_loggers, 1);
    lh__config_free(&c);
    c = load(NULL, WORDS("--config", file, "--model", "c.so"));
    cr_assert_eq(c.n_models, 1, "the command line chooses the models");
    cr_expect_str_eq(c.models[0].plugin, "c.so");
    cr_expect_eq(json_object_size(c.models[0].hparams), 1, "hyper-parameters stay");
    lh__config_free(&c);
}

Test(sources, unknown_names_suggest_the_nearest) {
    refused("did you mean 'max_epochs'?", LH_EINVAL, NULL, WORDS("--max_epoch", "3"));
    refused("did you mean 'max_epochs'?", LH_EINVAL, NULL, WORDS("--trainer.max_epcohs", "3"));
    refused("did you mean 'accelerator'?", LH_EINVAL, NULL,
            WORDS("--config", file_with("u.yaml", "trainer:\n  acelerator: cpu\n")));
    refused("u.yaml:2:15", LH_EINVAL, NULL,
            WORDS("--config", file_with("u.yaml", "trainer:\n  acelerator: cpu\n")));
    refused("did you mean 'trainer'?", LH_EINVAL, NULL,
            WORDS("--config", file_with("t.yaml", "trainr: {}\n")));
    refused("belongs under trainer:", LH_EINVAL, NULL,
            WORDS("--config", file_with("t.yaml", "max_epochs: 1\n")));
    refused("did you mean 'max_epochs'?", LH_EINVAL, ENV("LHOST_TRAINER__MAX_EPOCS=3"),
            WORDS("--max_steps", "3"));
    refused("environment variable LHOST_SEED_EVRYTHING", LH_EINVAL, ENV("LHOST_SEED_EVRYTHING=3"),
            WORDS("--max_steps", "3"));
    refused("--model.zzz", LH_EINVAL, NULL, WORDS("--zzz", "3"));
    refused("did you mean 'callback'?", LH_EINVAL, NULL, WORDS("--calback", "x"));
}

Test(sources, settings_of_data_need_a_data_module_or_the_host) {
    lh__config c = load(NULL, WORDS("--data.batchsize", "3"));
    lh__error e = {0};

    cr_expect_eq(lh__config_no_data_module(&c, &e), LH_EINVAL);
    cr_expect(strstr(e.text, "did you mean 'batch_size'?"), "%s", e.text);
    lh__config_free(&c);
    c = load(NULL, WORDS("--data.batch_size", "3"));
    e = (lh__error){0};
    cr_expect_eq(lh__config_no_data_module(&c, &e), LH_OK, "%s", e.text);
    lh__config_free(&c);
}

Test(sources, a_hyper_parameter_named_like_a_setting_of_the_host_is_that_setting) {
    const lh_hparam_spec specs[] = {LH_HPARAM_INT("batch_size", 64, 1, 1000, "items per batch")};
    lh__config c = load(NULL, WORDS("--data", "dm.so", "--data.batch_size", "3"));
    lh__error e = {0};
    json_t *given = lh__hparams_resolve(specs, 1, &c.data, "dm", &c, &e);

    cr_assert(given, "%s", e.text);
    cr_expect_eq(json_integer_value(json_object_get(given, "batch_size")), 3);
    json_decref(given);
    lh__config_free(&c);
    c = load(NULL, WORDS("--data", "dm.so"));
    given = lh__hparams_resolve(specs, 1, &c.data, "dm", &c, &e);
    cr_expect_eq(json_integer_value(json_object_get(given, "batch_size")), 64);
    json_decref(given);
    lh__config_free(&c);
}

Test(sources, other_variables_are_left_alone) {
    lh__config c = load(ENV("LHOST_DATA_DIR=/x", "LHOST_PLUGIN_PATH=/y", "HOME=/root",
                            "LHOST_MODEL__LR=0.5", "LHOST_DATA__ROOT=/r"),
                        WORDS("--model", "m.so"));

    cr_expect_str_eq(c.data_root, "/r");
    cr_expect_eq(json_real_value(json_object_get(c.models[0].hparams, "lr")), 0.5);
    lh__config_free(&c);
}

Test(sources, bad_values_name_their_source) {
    refused("command line", LH_EINVAL, NULL, WORDS("--max_epochs", "three"));
    refused("an integer from -1", LH_EINVAL, NULL, WORDS("--max_epochs", "three"));
    refused("environment variable LHOST_TRAINER__MAX_STEPS", LH_EINVAL,
            ENV("LHOST_TRAINER__MAX_STEPS=1.5"), WORDS("--test"));
    refused("b.yaml:2:15", LH_EINVAL, NULL,
            WORDS("-c", file_with("b.yaml", "trainer:\n  max_epochs: -2\n")));
    refused("cannot read /nonexistent.yaml", LH_EIO, NULL, WORDS("-c", "/nonexistent.yaml"));
    refused("needs a value", LH_EINVAL, NULL, WORDS("--max_epochs"));
    refused("needs a value", LH_EINVAL, NULL, WORDS("--max_epochs", "--test"));
    refused("stands alone", LH_EINVAL, NULL, WORDS("mnist.so"));
    refused("expected a mapping", LH_EINVAL, NULL, WORDS("-c", file_with("s.yaml", "- 1\n")));
    refused("nest the settings", LH_EINVAL, NULL,
            WORDS("-c", file_with("s.yaml", "trainer.max_epochs: 1\n")));
    refused("single value", LH_EINVAL, NULL,
            WORDS("-c", file_with("s.yaml", "model: {lr: [1, 2]}\n")));
    refused("cannot be a hyper-parameter", LH_EINVAL, NULL, WORDS("--model.a.b", "1"));
    refused("expected NAME", LH_EINVAL, NULL,
            WORDS("-c", file_with("s.yaml", "callbacks: [{a: 1}]\n")));
}

Test(sources, contradictions_are_refused) {
    refused("model-checkpoint contradicts", LH_EINVAL, NULL,
            WORDS("--enable_checkpointing", "false", "--callback", "model-checkpoint"));
    refused("fast_dev_run", LH_EINVAL, NULL, WORDS("--fast_dev_run", "--ckpt_path", "best"));
}

Test(sources, older_names_work_and_say_so) {
    lh__config c =
        load(NULL, WORDS("--row_log_interval", "7", "--train_percent_check", "1",
                         "--weights_summary", "null", "--resume_from_checkpoint", "x.st",
                         "--progress_bar_refresh_rate", "0", "--early_stop_callback", "true",
                         "--weights_save_path", "/w", "--gpus", "0", "--terminate_on_nan", "true",
                         "--log_save_interval", "9", "--trainer.distributed_backend", "null"));

    cr_expect_eq(c.trainer.log_every_n_steps, 7);
    cr_expect(c.trainer.limit_train_batches.value == 1 &&
              c.trainer.limit_train_batches.unit == LH__FRACTION);
    cr_expect_eq(c.trainer.enable_model_summary, 0);
    cr_expect_eq(c.trainer.enable_progress_bar, 0);
    cr_expect_str_eq(c.ckpt_path, "x.st");
    cr_expect_eq(c.trainer.detect_anomaly, 1);
    cr_assert_eq(c.n_callbacks, 2);
    cr_expect_str_eq(c.callbacks[0].plugin, "early-stop");
    cr_expect_str_eq(c.callbacks[1].plugin, "model-checkpoint");
    cr_expect_str_eq(json_string_value(json_object_get(c.callbacks[1].hparams, "dirpath")), "/w");
    cr_expect(strstr(heard, "row_log_interval is the older name of log_every_n_steps"), "%s",
              heard);
    cr_expect(strstr(heard, "log_save_interval has no effect"));
    lh__config_free(&c);
    refused("GPUs are not available yet", LH_EUNSUPPORTED, NULL, WORDS("--gpus", "2"));
    refused("learning rate finder", LH_EUNSUPPORTED, NULL, WORDS("--auto_lr_find", "true"));
    refused("strategy", LH_EUNSUPPORTED, NULL, WORDS("--distributed_backend", "ddp"));
}

Test(sources, a_dump_repeats_the_configuration) {
    lh__config c = load(ENV("LHOST_MODEL__NAME=no"),
                        WORDS("--model", "a.so", "--model.lr", "1e-3", "--model.tag", "007",
                              "--limit_val_batches", "1", "--limit_test_batches", "1.0",
                              "--gradient_clip_val", "0.5", "--val_check_interval", "00:00:05:00",
                              "--callback", "early-stop:monitor=val_loss,min_delta=1e-4",
                              "--logger", "csv", "--seed_everything", "false", "--max_time",
                              "00:01:00:00", "--devices", "1", "--precision", "64", "--test"));
    char *text = lh__config_dump(&c);
    lh__config again = load(NULL, WORDS("--config", file_with("dump.yaml", text)));

    cr_expect(json_equal(c.tree, again.tree), "%s", text);
    cr_expect_eq(c.seed, again.seed);
    cr_expect_eq(again.trainer.limit_val_batches.unit, LH__BATCHES);
    cr_expect_eq(again.trainer.limit_test_batches.unit, LH__FRACTION);
    cr_expect_eq(again.trainer.val_check_interval.value, 300);
    free(text);
    lh__config_free(&c);
    lh__config_free(&again);
}

Test(sources, help_needs_nothing_else_to_be_right) {
    lh__config c = load(NULL, WORDS("--nonsense", "--help"));

    cr_expect(c.help);
    lh__config_free(&c);
}
