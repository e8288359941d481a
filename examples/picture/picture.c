/* picture.c - see picture.h. Written with libpng's simplified interface. */
#include "picture.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

enum { BORDER = 1, GREY = 96 };

typedef struct grid {
    int64_t n, channels, h, w, columns, rows, width, height;
} grid;

static lh_status layout(lh_ctx *c, const lh_tensor *images, int64_t columns, grid *g) {
    lh_tensor_info info = {LH_SIZED(lh_tensor_info)};

    if (!images || c->host->tensor_info(c, images, &info) != LH_OK)
        return LH_EINVAL;
    if (info.ndim < 3 || info.ndim > 4 || info.numel == 0 ||
        (info.ndim == 4 && info.shape[1] != 1 && info.shape[1] != 3) || columns < 1)
        return lh_fail(c, LH_ESHAPE,
                       "a picture needs images (n, h, w), (n, 1, h, w) or (n, 3, h, w)");
    g->n = info.shape[0];
    g->channels = info.ndim == 4 ? info.shape[1] : 1;
    g->h = info.shape[info.ndim - 2];
    g->w = info.shape[info.ndim - 1];
    g->columns = columns < g->n ? columns : g->n;
    g->rows = (g->n + g->columns - 1) / g->columns;
    g->width = g->columns * (g->w + BORDER) + BORDER;
    g->height = g->rows * (g->h + BORDER) + BORDER;
    return LH_OK;
}

static uint8_t byte_of(float x) {
    return (uint8_t)(x <= 0 ? 0 : x >= 1 ? 255 : x * 255 + 0.5f);
}

static void draw(const grid *g, const float *values, uint8_t *pixels) {
    memset(pixels, GREY, (size_t)(g->width * g->height * g->channels));
    for (int64_t i = 0; i < g->n; i++) {
        int64_t top = i / g->columns * (g->h + BORDER) + BORDER;
        int64_t left = i % g->columns * (g->w + BORDER) + BORDER;

        for (int64_t k = 0; k < g->channels * g->h * g->w; k++) {
            int64_t channel = k / (g->h * g->w), y = k / g->w % g->h, x = k % g->w;

            pixels[((top + y) * g->width + left + x) * g->channels + channel] =
                byte_of(values[i * g->channels * g->h * g->w + k]);
        }
    }
}

lh_status picture_save(lh_ctx *c, const char *name, lh_tensor *images, int64_t columns) {
    png_image png = {.version = PNG_IMAGE_VERSION};
    size_t size, bytes;
    uint8_t *pixels;
    float *values;
    char path[4096];
    grid g = {0};

    images = lh_cast(c, images, LH_F32);
    if (layout(c, images, columns, &g) != LH_OK)
        return lh_status_of(c);
    size = (size_t)(g.n * g.channels * g.h * g.w) * sizeof *values;
    bytes = (size_t)(g.width * g.height * g.channels);
    values = malloc(size);
    pixels = malloc(bytes);
    snprintf(path, sizeof path, "%s/%s", lh_text(c, LH_LOG_DIR), name);
    png.width = (png_uint_32)g.width;
    png.height = (png_uint_32)g.height;
    png.format = g.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    if (!values || !pixels) {
        lh_fail(c, LH_ENOMEM, "out of memory for a picture of %zu bytes", bytes);
    } else if (lh_read(c, images, values, size) == LH_OK) {
        draw(&g, values, pixels);
        if (png_image_write_to_file(&png, path, 0, pixels, 0, NULL))
            lh_print(c, LH_INFO, "picture: %s", path);
        else
            lh_fail(c, LH_EIO, "cannot write %s: %s", path, png.message);
    }
    free(values);
    free(pixels);
    return lh_status_of(c);
}
