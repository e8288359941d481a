/* test_helper.c - a helper has the process's cores, also when a bound thread starts it, and gives
 * way once it begins. */
#include <criterion/criterion.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "helper/helper.h"

typedef struct findings {
    cpu_set_t cores;
    int nice_before, nice_after;
} findings;

/* The thread that starts it may still be giving it its cores. */
static void *look(void *arg) {
    findings *f = arg;
    const id_t me = (id_t)gettid();

    f->nice_before = getpriority(PRIO_PROCESS, me);
    lh__helper_begins();
    f->nice_after = getpriority(PRIO_PROCESS, me);
    usleep(50000);
    cr_assert_eq(sched_getaffinity(0, sizeof f->cores, &f->cores), 0);
    return NULL;
}

Test(helper, has_the_cores_of_the_process) {
    cpu_set_t all, one;
    findings f;
    pthread_t thread;

    cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int core = 0; CPU_COUNT(&one) == 0; core++)
        if (CPU_ISSET(core, &all))
            CPU_SET(core, &one);
    for (int bound = 0; bound < 2; bound++) {
        if (bound)
            cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
        cr_assert_eq(lh__helper_start(&thread, "lhost-test", look, &f), 0);
        pthread_join(thread, NULL);
        cr_expect(CPU_EQUAL(&f.cores, &all), "bound %d: %d cores", bound, CPU_COUNT(&f.cores));
        cr_expect(f.nice_after > f.nice_before || f.nice_before >= 15);
    }
}
