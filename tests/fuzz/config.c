/* config.c - settings of any content: read as YAML and as JSON; what is accepted as YAML must
 * survive being written and read again. */
#include "config/config.h"
#include "config/yaml.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_round_trip(const json_t *tree) {
    char *text = lh__yaml_dump(tree);
    lh__error e = {0};
    json_t *again = text ? lh__yaml_parse(text, strlen(text), "again", NULL, &e) : NULL;

    if (!again || !json_equal(tree, again))
        abort();
    json_decref(again);
    free(text);
}

/* The bytes as a short form of a choice and as a duration. */
static void parse_texts(const uint8_t *bytes, size_t size) {
    char *text = strndup((const char *)bytes, size);
    lh__error e = {0};

    json_decref(lh__choice_parse(text, &e));
    lh__parse_duration(text);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    json_t *origins = json_object(), *tree;
    lh__error e = {0};

    tree = lh__yaml_parse((const char *)bytes, size, "fuzz", origins, &e);
    if (tree)
        check_round_trip(tree);
    else if (e.code == LH_OK)
        abort();
    json_decref(tree);
    e.code = LH_OK;
    json_decref(lh__json_parse((const char *)bytes, size, "fuzz", origins, &e));
    json_decref(origins);
    parse_texts(bytes, size);
    return 0;
}
