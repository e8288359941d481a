/* Hyper-parameters against their declaration, and the short form of a choice. */
#include "load.h"

TestSuite(hparams, .fini = remove_files);

static const lh_hparam_spec specs[] = {
    {LH_SIZED(lh_hparam_spec), LH_REAL, "lr", "", NULL, 1e-3, 0, 1},
    {LH_SIZED(lh_hparam_spec), LH_INT, "hidden", "", NULL, 128, 1, 4096},
    {LH_SIZED(lh_hparam_spec), LH_FLAG, "bias", "", NULL, 1, 0, 0},
    {LH_SIZED(lh_hparam_spec), LH_TEXT, "name", "", "net", 0, 0, 0},
    {LH_SIZED(lh_hparam_spec), LH_REAL, "decay", "", NULL, 0, 0, 0},
};
enum { N = sizeof specs / sizeof *specs };

static json_t *resolve(const char *const *words, lh__error *e) {
    lh__config c = load(NULL, words);
    json_t *out;

    memset(e, 0, sizeof *e);
    out = lh__hparams_resolve(specs, N, &c.models[0], "plugin net", &c, e);
    lh__config_free(&c);
    return out;
}

static void resolves_to(const char *json, const char *const *words) {
    lh__error e;
    json_t *got = resolve(words, &e), *want = json_loads(json, 0, NULL);

    cr_assert(got, "%s", e.text);
    cr_expect(json_equal(got, want), "%s", json_dumps(got, 0));
    json_decref(got);
    json_decref(want);
}

static void refuses(const char *part, const char *const *words) {
    lh__error e;

    cr_expect_null(resolve(words, &e));
    cr_expect_eq(e.code, LH_EINVAL);
    cr_expect(strstr(e.text, part), "'%s' is not in: %s", part, e.text);
}

Test(hparams, defaults_fill_in) {
    resolves_to("{\"lr\":0.001,\"hidden\":128,\"bias\":true,\"name\":\"net\",\"decay\":0.0}",
                WORDS("--model", "m.so"));
}

Test(hparams, texts_of_the_command_line_take_the_declared_type) {
    resolves_to("{\"lr\":0.01,\"hidden\":1000,\"bias\":false,\"name\":\"007\",\"decay\":-3.0}",
                WORDS("--model", "m.so", "--model.lr=1e-2", "--model.hidden", "1e3", "--model.bias",
                      "false", "--model.name", "007", "--model.decay", "-3"));
    resolves_to("{\"lr\":1.0,\"hidden\":128,\"bias\":true,\"name\":\"1.10\",\"decay\":0.0}",
                WORDS("--model", "m.so", "--model.lr", "1", "--model.name", "1.10",
                      "--model.hidden", "null"));
}

Test(hparams, ill_typed_and_out_of_range) {
    refuses("lr: \"fast\" is not possible here; expected a number (command line)",
            WORDS("--model", "m.so", "--model.lr", "fast"));
    refuses("hidden: 0 is out of range; expected 1 to 4096",
            WORDS("--model", "m.so", "--model.hidden", "0"));
    refuses("hidden: 1.5 is not possible here; expected an integer",
            WORDS("--model", "m.so", "--model.hidden", "1.5"));
    refuses("expected true or false", WORDS("--model", "m.so", "--model.bias", "2"));
    refuses("h.yaml:1:24", WORDS("-c", file_with("h.yaml", "model: {plugin: m, lr: 7}\n")));
    refuses("write it in quotes",
            WORDS("-c", file_with("h.yaml", "model: {plugin: m, name: 1.10}\n")));
}

Test(hparams, unknown_names_suggest_the_nearest) {
    refuses("did you mean 'hidden'?", WORDS("--model", "m.so", "--model.hiden", "3"));
    refuses("it has lr, hidden, bias, name, decay",
            WORDS("--model", "m.so", "--model.zzzzzz", "3"));
}

static const struct {
    const char *text, *json; /* json NULL: refused */
} choices[] = {
    {"timer", "{\"plugin\":\"timer\"}"},
    {"./my cb.so:a=1", "{\"plugin\":\"./my cb.so\",\"a\":1}"},
    {"timer:duration=00:00:01:00", "{\"plugin\":\"timer\",\"duration\":\"00:00:01:00\"}"},
    {"x:dirpath=/a/b,n=-1", "{\"plugin\":\"x\",\"dirpath\":\"/a/b\",\"n\":-1}"},
    {"/p/x.so:dirpath=/a/b", "{\"plugin\":\"/p/x.so\",\"dirpath\":\"/a/b\"}"},
    {"x:f={epoch}-{val,loss:.2f},b=true",
     "{\"plugin\":\"x\",\"f\":\"{epoch}-{val,loss:.2f}\",\"b\":true}"},
    {"x:a='1,2',b=\"no\"", "{\"plugin\":\"x\",\"a\":\"1,2\",\"b\":\"no\"}"},
    {"x:save-top-k=2", "{\"plugin\":\"x\",\"save_top_k\":2}"},
    {"x:a=", "{\"plugin\":\"x\",\"a\":null}"},
    {"x:d=0.5", "{\"plugin\":\"x\",\"d\":0.5}"},
    {"", NULL},
    {":a=1", NULL},
    {"x:a", NULL},
    {"x:=1", NULL},
    {"x:a=1,a=2", NULL},
    {"x:A=1", NULL},
};

Test(choice, short_form) {
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        lh__error e = {0};
        json_t *got = lh__choice_parse(choices[i].text, &e);
        json_t *want = choices[i].json ? json_loads(choices[i].json, 0, NULL) : NULL;
        cr_expect((got != NULL) == (want != NULL), "%s: %s", choices[i].text, e.text);
        cr_expect(!want || json_equal(got, want), "%s", choices[i].text);
        cr_expect(want || e.code == LH_EINVAL);
        json_decref(got);
        json_decref(want);
    }
}
