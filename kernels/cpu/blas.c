/* blas.c - finds OpenBLAS and its two functions, once per process. */
#include "kernels/cpu/blas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

/* Its name on Debian, Arch, openSUSE and others; Fedora's build with threads; any build at all. */
static const char *const names[] = {"libopenblas.so.0", "libopenblasp.so.0", "libopenblas.so"};

/* Written once, under `once`. */
static lh__blas loaded;
static int is_loaded;

/* Two threads of ours or of OpenBLAS on one core would wait for each other: it gets none. It reads
 * the variable when it is loaded. */
static void load(void) {
    void (*set_threads)(int);
    void *library = NULL;

    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    *(void **)&loaded.sgemm = dlsym(library, "cblas_sgemm");
    *(void **)&loaded.dgemm = dlsym(library, "cblas_dgemm");
    *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
    if (set_threads)
        set_threads(1);
    is_loaded = loaded.sgemm && loaded.dgemm && set_threads;
}

const lh__blas *lh__blas_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    return is_loaded ? &loaded : NULL;
}
