/* test_ckpt.c - checkpoints that cannot be read or belong to another model: exit code 2, the
 * reason, and the file as it was. */
#include "folder.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRAIN "run --model p/steady.so --enable_progress_bar false --default_root_dir a "

static char *bytes;
static size_t size;

static void train(void) {
    enter_folder();
    cr_assert_eq(run(TRAIN "--max_epochs 1"), 0, "%s", said());
    bytes = read_text(final_checkpoint("a"), &size);
    write_bytes("good.safetensors", bytes, size);
}

static void clean(void) {
    free(bytes);
    leave_folder();
}

TestSuite(ckpt, .init = train, .fini = clean, .timeout = 60);

/* Fit and test alike refuse `bad.safetensors`. */
static void expect_refusal(const char *words) {
    expect(2, words, TRAIN "--max_epochs 2 --ckpt_path bad.safetensors");
    expect(2, words, "test --model p/steady.so --ckpt_path bad.safetensors");
}

Test(ckpt, missing) {
    expect(2, "absent.safetensors", TRAIN "--ckpt_path absent.safetensors");
    expect(2, "best|lightning_logs",
           "run --model p/steady.so --default_root_dir b --ckpt_path best");
}

Test(ckpt, truncated) {
    static const int parts[] = {0, 1, 2, 8, 15};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        write_bytes("bad.safetensors", bytes, size * (size_t)parts[i] / 16);
        expect_refusal("bad.safetensors");
    }
}

/* One bit, in the length, the header, the tensors and the last byte. */
Test(ckpt, bit_flipped) {
    const size_t places[] = {0, 20, size / 2, size - 1};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        bytes[places[i]] ^= 4;
        write_bytes("bad.safetensors", bytes, size);
        expect_refusal("bad.safetensors");
        bytes[places[i]] ^= 4;
    }
}

Test(ckpt, of_another_kind_of_file) {
    write_bytes("bad.safetensors", "PK\003\004 a zip archive, as PyTorch writes them", 40);
    expect_refusal("bad.safetensors");
    expect(2, "a: ", TRAIN "--ckpt_path a");
}

/* Weights of a stranger can be tested with, not resumed from. */
Test(ckpt, without_training_state) {
    char header[512], file[2048];
    float weights[16 * 8 + 16 + 16 + 1] = {0};
    uint64_t n;

    snprintf(header, sizeof header,
             "{\"body.weight\":{\"dtype\":\"F32\",\"shape\":[16,8],\"data_offsets\":[0,512]},"
             "\"body.bias\":{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[512,576]},"
             "\"head.weight\":{\"dtype\":\"F32\",\"shape\":[1,16],\"data_offsets\":[576,640]},"
             "\"head.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[640,644]}}");
    n = strlen(header);
    memcpy(file, &n, 8);
    memcpy(file + 8, header, n);
    memcpy(file + 8 + n, weights, 644);
    write_bytes("foreign.safetensors", file, 8 + n + 644);
    expect(0, "", "test --model p/steady.so --ckpt_path foreign.safetensors");
    expect(2, "foreign.safetensors|weights only", TRAIN "--ckpt_path foreign.safetensors");
}

Test(ckpt, of_another_model) {
    expect(2, "good.safetensors|body.weight|head.weight|another",
           TRAIN "--max_epochs 2 --ckpt_path good.safetensors --model.hidden 17");
    expect(2, "good.safetensors|missing tail.weight|missing tail.bias|unexpected head.weight",
           TRAIN "--max_epochs 2 --ckpt_path good.safetensors --model.head tail");
    expect(2, "good.safetensors", "run --model p/labelled.so --ckpt_path good.safetensors");
}

Test(ckpt, stays_as_it_was) {
    size_t now;
    char *after;

    run(TRAIN "--max_epochs 2 --ckpt_path good.safetensors --model.hidden 17");
    cr_assert_eq(run(TRAIN "--max_epochs 2 --ckpt_path good.safetensors"), 0, "%s", said());
    after = read_text("good.safetensors", &now);
    cr_assert(now == size && memcmp(after, bytes, size) == 0);
    free(after);
}

/* A run that was complete has nothing left to do, and says no error. */
Test(ckpt, of_a_run_that_is_over) {
    expect(0, "", TRAIN "--max_epochs 1 --ckpt_path good.safetensors");
}
