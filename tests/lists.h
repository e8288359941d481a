/* lists.h - arguments of a call as lists: how many, and where. */
#ifndef LH_TESTS_LISTS_H
#define LH_TESTS_LISTS_H

#define TENSORS(...)                                                                         \
    (int32_t)(sizeof((lh_tensor *[]){__VA_ARGS__}) / sizeof(lh_tensor *)), (lh_tensor *[]) { \
        __VA_ARGS__                                                                          \
    }
#define INTS(...)                                                                \
    (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) { \
        __VA_ARGS__                                                              \
    }
#define REALS(...)                                                            \
    (int32_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]) { \
        __VA_ARGS__                                                           \
    }
#define NONE 0, NULL

#endif
