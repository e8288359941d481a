/* convolutions.c - what the cpu device's convolutions reach: forward, gradient to the data,
 * gradient to the weight, each as its kernel alone.
 *
 *     convolutions [--threads N] [--ms N] [--bf16] N,C,SIZE,OUT,KERNEL,STRIDE,PADDING,TRANSPOSED
 * ...
 *
 * N images of C channels, SIZE x SIZE; OUT channels; TRANSPOSED 0 or 1. Prints a line of JSON for
 * each: {"shape": ..., "gflop": of one pass, "ms": [forward, data, weight]}; last of all the
 * ceiling, {"ceiling_gflops": G}, of F32 on as many threads.
 */
#include "kernels/kernel.h"
#include "tests/bench/ceiling.h"
#include "tests/bench/timing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lh__view view_of(int64_t a, int64_t b, int64_t c, int64_t d) {
    lh__view v = {.dtype = LH_F32, .ndim = 4, .shape = {a, b, c, d}};
    int64_t n = a * b * c * d;

    v.stride[3] = 1, v.stride[2] = d, v.stride[1] = c * d, v.stride[0] = b * c * d;
    v.data = aligned_alloc(64, (size_t)(n * 4 + 63) / 64 * 64);
    if (!v.data) {
        fprintf(stderr, "convolutions: out of memory\n");
        exit(1);
    }
    for (int64_t i = 0; i < n; i++)
        ((float *)v.data)[i] = (float)(uint32_t)(i * 2654435761u) / 4294967296.0f - 0.5f;
    return v;
}

/* The fastest of the runs that fit in `ms`, three at least. */
static double time_of(const lh__device *device, const lh__kernel_call *call, double ms) {
    double best = 1e30, begin = 1e-3 * now_us();

    for (int i = 0; i < 3 || 1e-3 * now_us() - begin < ms; i++) {
        double start = 1e-3 * now_us(), took;

        device->kernels[call->op](call);
        took = 1e-3 * now_us() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void measure(const char *text, lh__pool *pool, lh__products products, double ms) {
    long long n, c, size, out, kernel, stride, padding, transposed;
    int64_t to, small, large;

    if (sscanf(text, "%lld,%lld,%lld,%lld,%lld,%lld,%lld,%lld", &n, &c, &size, &out, &kernel,
               &stride, &padding, &transposed) != 8) {
        fprintf(stderr, "convolutions: not a shape: %s\n", text);
        exit(2);
    }
    to = transposed ? (size - 1) * stride - 2 * padding + kernel
                    : (size + 2 * padding - kernel) / stride + 1;
    small = transposed ? size : to, large = transposed ? to : size;
    {
        lh__view x = view_of(n, c, size, size), y = view_of(n, out, to, to);
        lh__view w = transposed ? view_of(c, out, kernel, kernel) : view_of(out, c, kernel, kernel);
        lh__view dx = x, dw = w;
        int64_t more = large - ((small - 1) * stride - 2 * padding + kernel);
        int64_t narrow[] = {stride, stride, padding, padding, 1, 1, 1, 0, 0, 0, 0};
        int64_t wide[] = {stride, stride, padding, padding, more, more, 1, 1, 1};
        const lh__view *forward[] = {&x, &w}, *data[] = {&y, &w};
        const lh__view *weight[] = {transposed ? &x : &y, transposed ? &y : &x};
        lh__kernel_call call = {.n_in = 2, .pool = pool, .products = products};
        const lh__device *device = lh__device_cpu();
        double took[3];

        if (!device) {
            fprintf(stderr, "convolutions: no cpu device\n");
            exit(1);
        }
        call.op = transposed ? LH_OP_CONV_TRANSPOSE : LH_OP_CONV;
        call.in = forward, call.out = &y;
        call.ints = transposed ? wide : narrow, call.n_ints = transposed ? 9 : 7;
        took[0] = time_of(device, &call, ms);
        dx.data = view_of(n, c, size, size).data;
        call.op = transposed ? LH_OP_CONV : LH_OP_CONV_TRANSPOSE;
        call.in = data, call.out = &dx;
        call.ints = transposed ? narrow : wide, call.n_ints = transposed ? 7 : 9;
        took[1] = time_of(device, &call, ms);
        dw.data = view_of(w.shape[0], w.shape[1], kernel, kernel).data;
        call.op = LH__OP_CONV_WEIGHT_GRAD;
        call.in = weight, call.out = &dw;
        for (int d = 0; d < 4; d++)
            narrow[7 + d] = w.shape[d];
        call.ints = narrow, call.n_ints = 11;
        took[2] = time_of(device, &call, ms);
        printf("{\"shape\": \"%s\", \"gflop\": %.6f, \"ms\": [%.4f, %.4f, %.4f]}\n", text,
               2e-9 * (double)(n * c * out * kernel * kernel * small * small), took[0], took[1],
               took[2]);
        free(x.data), free(y.data), free(w.data), free(dx.data), free(dw.data);
    }
}

int main(int argc, char **argv) {
    int threads = 1, at = 1;
    double ms = 300;
    lh__products products = LH__PRODUCTS_F32;
    lh__pool *pool;

    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--bf16") == 0)
            products = LH__PRODUCTS_BF16;
        else if (strcmp(argv[at], "--threads") == 0 && at + 1 < argc)
            threads = atoi(argv[++at]);
        else if (strcmp(argv[at], "--ms") == 0 && at + 1 < argc)
            ms = atof(argv[++at]);
    }
    pool = lh__pool_new(threads);
    if (!pool || threads < 1 || threads > 256)
        return 1;
    for (; at < argc; at++)
        measure(argv[at], pool, products, ms);
    printf("{\"ceiling_gflops\": %.1f}\n", 1e-9 * measured_ceiling(CEILING_F32, pool));
    lh__pool_free(pool);
    return 0;
}
