/* run.c - `lhost run`, `validate`, `test`, `predict`: configuration, plugins, then the trainer.
 *
 * Every model given gets its own run, one after the other; the first that fails ends it. At the end
 * several are shown beside one another.
 */
#include "cli/cli.h"
#include "cli/supervisor.h"

#include "config/config.h"
#include "plugin/plugin.h"
#include "trainer/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Finds and loads the plugin of a choice, which must have this kind. NULL: said why. */
static lh__plugin *load(const lh__call *call, const lh__choice *choice, uint32_t kind,
                        const char *kind_name) {
    lh__error e = {0};
    char *path = lh__plugin_find(choice->plugin, &e);
    lh__plugin *p = path ? lh__plugin_load(path, NULL, &e) : NULL;

    free(path);
    if (!p) {
        lh__cli_fail(call, LH__EXIT_USAGE, "%s", e.text);
        return NULL;
    }
    for (int i = 0; i < p->n_warnings; i++)
        call->observer.message(call->observer.self, LH_WARNING, p->warnings[i]);
    if (p->kinds & kind)
        return p;
    lh__cli_fail(call, LH__EXIT_USAGE, "%s is no %s; lhost inspect %s says what it is",
                 choice->plugin, kind_name, choice->plugin);
    lh__plugin_free(p);
    return NULL;
}

/* The one place where the trainer is called. */
static int run_stage(const lh__call *call, const lh__config *config, const lh__cast *cast,
                     int32_t stage, const char *ckpt_path, const lh__outcome *previous,
                     lh__breadcrumb *crumb, lh__outcome *out) {
    lh__trainer_run(config, cast, stage, ckpt_path, previous, &call->observer, crumb, out);
    lh__report_settle(call->report);
    if (out->error.code != LH_OK)
        lh__cli_fail(call, out->exit_code, "%s", out->error.text);
    if (config->json && out->result) {
        json_dumpf(out->result, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
    }
    return out->exit_code;
}

/* --test after fit: on the best checkpoint, or the last if none was best. */
static int run_test(const lh__call *call, const lh__config *config, const lh__cast *cast,
                    const lh__outcome *fit, lh__breadcrumb *crumb, lh__outcome *out) {
    const char *ckpt_path = fit->best ? "best" : fit->last ? "last" : NULL;

    if (!ckpt_path)
        call->observer.message(call->observer.self, LH_WARNING,
                               "no checkpoint was saved: the test runs on fresh weights");
    return run_stage(call, config, cast, LH_TEST, ckpt_path, fit, crumb, out);
}

/* The data module: that of --data, else one that the model's own file carries, else none. */
static lh_status find_data(const lh__call *call, const lh__config *config, lh__plugin *module,
                           lh__cast *cast, lh__plugin **loaded) {
    lh__error e = {0};

    cast->datamodule_choice = &config->data;
    if (config->data.plugin)
        cast->datamodule = *loaded = load(call, &config->data, LH_KIND_DATAMODULE, "data module");
    else if (module->kinds & LH_KIND_DATAMODULE)
        cast->datamodule = module;
    if (cast->datamodule)
        return LH_OK;
    if (!config->data.plugin && lh__config_no_data_module(config, &e) == LH_OK)
        return LH_OK;
    if (!config->data.plugin)
        lh__cli_usage(call, "%s", e.text);
    return LH_EINVAL;
}

/* A row for lh__report_compare: size and time of the stage asked for, metrics of the last one. */
static void add_row(json_t *rows, const lh__plugin *module, const json_t *result,
                    const json_t *last) {
    json_t *seconds = json_object_get(json_object_get(result, "seconds"), "total");

    json_array_append_new(rows,
                          json_pack("{s:s, s:O, s:O, s:O}", "model", module->name, "parameters",
                                    json_object_get(result, "parameters"), "seconds", seconds,
                                    "metrics", json_object_get(last, "metrics")));
}

static int run_model(const lh__call *call, const lh__config *config, const lh__choice *model,
                     lh__breadcrumb *crumb, json_t *rows) {
    lh__plugin *module = load(call, model, LH_KIND_MODULE, "model"), *data = NULL;
    lh__cast cast = {.module = module, .module_choice = model, .exports = call->exports};
    lh__outcome out = {0}, test = {0};
    int exit_code = LH__EXIT_USAGE;

    if (!module || find_data(call, config, module, &cast, &data) != LH_OK)
        goto done;
    exit_code =
        run_stage(call, config, &cast, call->command->stage, config->ckpt_path, NULL, crumb, &out);
    if (exit_code == LH__EXIT_DONE && config->test && call->command->stage == LH_FIT)
        exit_code = run_test(call, config, &cast, &out, crumb, &test);
    if (exit_code == LH__EXIT_DONE)
        add_row(rows, module, out.result, test.result ? test.result : out.result);
done:
    lh__outcome_free(&out);
    lh__outcome_free(&test);
    lh__plugin_free(data);
    lh__plugin_free(module);
    return exit_code;
}

static int run_models(const lh__call *call, void *user, lh__breadcrumb *crumb) {
    const lh__config *config = user;
    json_t *rows = json_array();
    int exit_code = LH__EXIT_DONE;

    for (int32_t i = 0; i < config->n_models && exit_code == LH__EXIT_DONE; i++)
        exit_code = run_model(call, config, &config->models[i], crumb, rows);
    if (exit_code == LH__EXIT_DONE && config->n_models > 1 && !config->json)
        lh__report_compare(call->report, rows);
    json_decref(rows);
    return exit_code;
}

static int print_config(const lh__call *call, const lh__config *config) {
    char *text = lh__config_dump(config);

    if (!text)
        return lh__cli_fail(call, LH__EXIT_FAILED, "out of memory");
    fputs(text, stdout);
    free(text);
    return LH__EXIT_DONE;
}

int lh__cli_run(const lh__call *call) {
    lh__config config;
    lh__error e = {0};
    int exit_code;

    if (lh__config_load(&config, call->argc, call->argv, call->env, &call->observer, &e) != LH_OK)
        return lh__cli_usage(call, "%s", e.text);
    lh__report_configure(call->report, &(lh__report_options){
                                           .hide_progress = !config.trainer.enable_progress_bar,
                                           .hide_summary = !config.trainer.enable_model_summary,
                                           .json = config.json,
                                       });
    if (config.help) {
        lh__help_command(call->command);
        exit_code = LH__EXIT_DONE;
    } else if (config.print_config) {
        exit_code = print_config(call, &config);
    } else if (config.n_models == 0) {
        exit_code = lh__cli_usage(call, "no model was given: --model FILE.so");
    } else if (call->exports && config.n_models > 1) {
        exit_code = lh__cli_usage(call, "one file takes one model");
    } else if (config.test && call->command->stage != LH_FIT) {
        exit_code = lh__cli_usage(call, "--test belongs to lhost run");
    } else {
        exit_code = lh__supervise(call, run_models, &config);
    }
    lh__config_free(&config);
    return exit_code;
}
