/* download.c - one file over HTTP, by libcurl.
 *
 * libcurl brings some thirty libraries, whose loading would cost every start of the host
 * milliseconds, so it is loaded when something is downloaded, and only then.
 */
#include "data/root.h"

#ifdef LH_HAVE_CURL

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct curl_api {
    void *library;
    CURLcode (*global_init)(long flags);
    void (*global_cleanup)(void);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *curl, CURLoption option, ...);
    CURLcode (*easy_perform)(CURL *curl);
    void (*easy_cleanup)(CURL *curl);
    const char *(*easy_strerror)(CURLcode code);
} curl_api;

static lh_status load(curl_api *api, lh__error *e) {
    const struct {
        const char *name;
        void *slot;
    } symbols[] = {
        {"curl_global_init", &api->global_init},     {"curl_global_cleanup", &api->global_cleanup},
        {"curl_easy_init", &api->easy_init},         {"curl_easy_setopt", &api->easy_setopt},
        {"curl_easy_perform", &api->easy_perform},   {"curl_easy_cleanup", &api->easy_cleanup},
        {"curl_easy_strerror", &api->easy_strerror},
    };

    api->library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!api->library)
        return lh__fail(e, LH_EUNSUPPORTED, "libcurl is not installed (%s)", dlerror());
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *found = dlsym(api->library, symbols[i].name);

        if (!found)
            return lh__fail(e, LH_EUNSUPPORTED, "this libcurl has no %s", symbols[i].name);
        memcpy(symbols[i].slot, &found, sizeof found);
    }
    return LH_OK;
}

static int on_progress(void *user, curl_off_t total, curl_off_t done, curl_off_t up_total,
                       curl_off_t up_done) {
    const lh__fetch *f = user;

    if (f->progress)
        f->progress(f->user, f->path, (int64_t)done, (int64_t)total);
    return 0;
}

static CURLcode set_options(const curl_api *api, CURL *curl, const char *url, FILE *file,
                            const lh__fetch *f, char *text) {
    const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        {CURLOPT_FOLLOWLOCATION, 1},
        {CURLOPT_MAXREDIRS, 8},
        {CURLOPT_FAILONERROR, 1},
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_CONNECTTIMEOUT, 15},
        {CURLOPT_LOW_SPEED_LIMIT, 1},
        {CURLOPT_LOW_SPEED_TIME, 30},
        {CURLOPT_NOPROGRESS, 0},
#if LIBCURL_VERSION_NUM < 0x075500
        {CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS},
#endif
    };
    const struct {
        CURLoption option;
        const void *value;
    } pointers[] = {
        {CURLOPT_URL, url},
        {CURLOPT_USERAGENT, "lhost"},
        {CURLOPT_WRITEDATA, file},
        {CURLOPT_ERRORBUFFER, text},
        {CURLOPT_XFERINFODATA, f},
#if LIBCURL_VERSION_NUM >= 0x075500
        {CURLOPT_PROTOCOLS_STR, "http,https"},
#endif
    };
    CURLcode rc = api->easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && rc == CURLE_OK; i++)
        rc = api->easy_setopt(curl, numbers[i].option, numbers[i].value);
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers && rc == CURLE_OK; i++)
        rc = api->easy_setopt(curl, pointers[i].option, pointers[i].value);
    return rc;
}

lh_status lh__download(const char *url, const char *path, const lh__fetch *f, lh__error *e) {
    curl_api api = {0};
    char text[CURL_ERROR_SIZE] = "";
    CURL *curl = NULL;
    CURLcode rc = CURLE_FAILED_INIT;
    lh_status status = load(&api, e);
    FILE *file = NULL;
    int ready = 0;

    if (status != LH_OK)
        goto done;
    file = fopen(path, "wbe");
    if (!file) {
        status = lh__fail(e, LH_EIO, "%s: %s", path, strerror(errno));
        goto done;
    }
    ready = api.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    curl = ready ? api.easy_init() : NULL;
    if (curl)
        rc = set_options(&api, curl, url, file, f, text);
    if (rc == CURLE_OK)
        rc = api.easy_perform(curl);
    if (rc != CURLE_OK)
        status = lh__fail(e, LH_EIO, "%s", *text ? text : api.easy_strerror(rc));
done:
    if (file && fclose(file) != 0)
        status = lh__fail(e, LH_EIO, "%s: %s", path, strerror(errno));
    if (curl)
        api.easy_cleanup(curl);
    if (ready)
        api.global_cleanup();
    if (api.library)
        dlclose(api.library);
    return status;
}

#else

lh_status lh__download(const char *url, const char *path, const lh__fetch *f, lh__error *e) {
    return lh__fail(e, LH_EUNSUPPORTED, "this lhost was built without libcurl");
}

#endif
