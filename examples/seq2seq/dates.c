/* dates.c - makes pairs of dates; see dates.h. */
#include "dates.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_YEAR = 1930, DAYS = 36525 };

struct day {
    int year, month, day, weekday; /* months from 0, days from 1, Monday 0 */
};

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const weekdays[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                       "Friday", "Saturday", "Sunday"};

/* Ways to write a date, and how much of the ISO date they tell. %d day, %D of two digits, %o
 * ordinal; %m month, %M of two digits, %b abbreviated, %B in full; %y year of two digits, %Y of
 * four; %a weekday abbreviated, %A in full. */
static const struct form {
    const char *text;
    size_t iso;
} forms[] = {
    {"%d %B %Y", 10},      {"%o of %B %Y", 10},   {"the %o of %B, %Y", 10},
    {"%B %d, %Y", 10},     {"%b %d, %Y", 10},     {"%B %o, %Y", 10},
    {"%b %o %Y", 10},      {"%B the %o, %Y", 10}, {"%d %b %y", 10},
    {"%d-%b-%Y", 10},      {"%D%b%Y", 10},        {"%b %d, '%y", 10},
    {"%A, %d %B %Y", 10},  {"%a %b %d %Y", 10},   {"%a, %d %b %Y", 10},
    {"%A, %b %d, %Y", 10}, {"%M/%D/%Y", 10},      {"%m/%d/%Y", 10},
    {"%M/%D/%y", 10},      {"%M/%D/%y (%a)", 10}, {"%m/%d/%y", 10},
    {"%D.%M.%Y", 10},      {"%d.%m.%Y", 10},      {"%d.%m.%y", 10},
    {"%a %D.%M.%y", 10},   {"%Y-%M-%D", 10},      {"%Y/%m/%d", 10},
    {"%Y%M%D", 10},        {"%Y %B %d", 10},      {"%B %Y", 7},
    {"%B '%y", 7},         {"%b %Y", 7},          {"%M/%Y", 7},
    {"the year %Y", 4},
};

static const char digits[] = "   -0123456789"; /* symbols of the target */

static uint64_t mix(uint64_t x) { /* splitmix64 (Steele, Lea and Flood 2014) */
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static int days_of(int year, int month) {
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return lengths[month] + (month == 1 && year % 4 == 0); /* 2000 had one too */
}

/* Day `n` after 1930-01-01, which was a Wednesday. */
static struct day day_at(int n) {
    struct day d = {FIRST_YEAR, 0, 1, (n + 2) % 7};

    for (; n >= days_of(d.year, d.month); d.year += d.month / 12, d.month %= 12)
        n -= days_of(d.year, d.month++);
    d.day += n;
    return d;
}

static const char *ordinal(int n) {
    static const char *const ends[] = {"th", "st", "nd", "rd"};

    return ends[n % 10 < 4 && n / 10 != 1 ? n % 10 : 0];
}

/* What one field of a form stands for; may be written to `number`. */
static const char *field_text(char field, const struct day *d, char number[16]) {
    switch (field) {
    case 'A':
        return weekdays[d->weekday];
    case 'B':
        return months[d->month];
    case 'a':
        snprintf(number, 16, "%.3s", weekdays[d->weekday]);
        break;
    case 'b':
        snprintf(number, 16, "%.3s", months[d->month]);
        break;
    case 'o':
        snprintf(number, 16, "%d%s", d->day, ordinal(d->day));
        break;
    case 'Y':
        snprintf(number, 16, "%d", d->year);
        break;
    case 'y':
        snprintf(number, 16, "%02d", d->year % 100);
        break;
    default: /* d D m M */
        snprintf(number, 16, isupper((unsigned char)field) ? "%02d" : "%d",
                 tolower((unsigned char)field) == 'd' ? d->day : d->month + 1);
    }
    return number;
}

static void write_form(char out[64], const char *form, const struct day *d) {
    char number[16];

    for (; *form; form++, out += strlen(out))
        if (*form == '%')
            strcpy(out, field_text(*++form, d, number));
        else
            strcpy(out, (char[]){*form, '\0'});
}

static void upper(char *text) {
    for (; *text; text++)
        *text = (char)toupper((unsigned char)*text);
}

static void lower(char *text) {
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

void dates_pair(enum dates_part part, int64_t index, int64_t source[DATES_SOURCE],
                int64_t target[DATES_TARGET]) {
    uint64_t day = mix((uint64_t)index * 3 + part), style = mix(day);
    const struct form *form = &forms[style % (sizeof forms / sizeof *forms)];
    int digit = part == DATES_TRAIN ? (int)(day >> 60) % 8 : part == DATES_VAL ? 8 : 9;
    struct day d = day_at((int)(day % (DAYS / 10)) * 10 + digit);
    char text[64], iso[64];

    write_form(text, form->text, &d);
    write_form(iso, "%Y-%M-%D", &d);
    if (style >> 61 == 0)
        lower(text);
    else if (style >> 61 == 1)
        upper(text);
    memset(source, 0, DATES_SOURCE * sizeof *source);
    memset(target, 0, DATES_TARGET * sizeof *target);
    for (size_t i = 0; text[i]; i++)
        source[i] = text[i] - 31;
    target[0] = DATES_START;
    for (size_t i = 0; i < form->iso; i++)
        target[1 + i] = strchr(digits, iso[i]) - digits;
    target[1 + form->iso] = DATES_END;
}

/* ---- Right or wrong */

lh_tensor *dates_padding(lh_ctx *c, lh_tensor *symbols) {
    return lh_eq(c, symbols, lh_full(c, DATES_PAD, LH_I64, 1));
}

lh_tensor *dates_exact(lh_ctx *c, const lh_batch *batch, lh_tensor *written) {
    lh_tensor *labels = lh_slice(c, lh_batch_get(c, batch, 1), 1, 1, DATES_TARGET);

    written = lh_masked_fill(c, written, dates_padding(c, labels), DATES_PAD);
    return lh_mean_all(c, lh_all(c, lh_eq(c, written, labels), 0, 1));
}

/* ---- Pictures */

/* A pair and what was written for it, as text. */
struct shown {
    char source[DATES_SOURCE + 1], target[DATES_TARGET], written[DATES_TARGET];
};

/* Row i of symbols (n, length), of at most DATES_SOURCE. */
static void read_row(lh_ctx *c, lh_tensor *t, int64_t i, int64_t *row) {
    t = lh_slice(c, t, 0, i, i + 1);
    lh_read(c, t, row, (uint64_t)lh_numel(c, t) * sizeof *row);
}

static void target_text(const int64_t *symbols, char text[DATES_TARGET]) {
    int i = 0;

    for (; i < DATES_TARGET - 1 && symbols[i] != DATES_PAD && symbols[i] != DATES_END; i++)
        text[i] = digits[symbols[i]];
    text[i] = '\0';
}

static struct shown shown_at(lh_ctx *c, const lh_batch *batch, lh_tensor *written, int64_t i) {
    int64_t symbols[DATES_SOURCE] = {0};
    struct shown s;

    read_row(c, lh_batch_get(c, batch, 0), i, symbols);
    for (int k = 0; k <= DATES_SOURCE; k++)
        s.source[k] = (char)(k < DATES_SOURCE && symbols[k] ? symbols[k] + 31 : '\0');
    read_row(c, lh_batch_get(c, batch, 1), i, symbols);
    target_text(symbols + 1, s.target);
    read_row(c, written, i, symbols);
    target_text(symbols, s.written);
    return s;
}

void dates_show(lh_ctx *c, const lh_batch *batch, lh_tensor *written, int64_t n) {
    char lines[2048] = "";
    size_t end = 0;

    for (int64_t i = 0; i < n && i < lh_batch_size(c, batch); i++) {
        struct shown s = shown_at(c, batch, written, i);
        int right = strcmp(s.written, s.target) == 0;

        end += (size_t)snprintf(lines + end, sizeof lines - end, "\n  %-28s  %s%s%s", s.source,
                                s.written, right ? "" : "  but is ", right ? "" : s.target);
    }
    lh_print(c, LH_INFO, "after %lld steps:%s", (long long)lh_global_step(c), lines);
}

void dates_show_attention(lh_ctx *c, const lh_batch *batch, lh_tensor *written, lh_tensor *weights,
                          int64_t n) {
    static const char shades[] = " .:-=+*#%@";
    double looks[(DATES_TARGET - 1) * DATES_SOURCE] = {0};

    weights = lh_cast(c, weights, LH_F64);
    for (int64_t i = 0; i < n && i < lh_batch_size(c, batch); i++) {
        struct shown s = shown_at(c, batch, written, i);
        char map[DATES_TARGET * (DATES_SOURCE + 5)] = "";
        size_t end = 0;

        lh_read(c, lh_slice(c, weights, 0, i, i + 1), looks, sizeof looks);
        for (size_t k = 0; s.written[k]; k++) {
            end += (size_t)sprintf(map + end, "\n  %c ", s.written[k]);
            for (size_t j = 0; s.source[j]; j++)
                map[end++] = shades[(int)(9 * looks[k * DATES_SOURCE + j] + 0.5)];
            map[end] = '\0';
        }
        lh_print(c, LH_INFO, "what it looked at:\n    %s%s", s.source, map);
    }
}

/* ---- The data module */

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("batch_size", 128, 1, 60000, "pairs per batch"),
    LH_HPARAM_INT("train_length", 60000, 1, 1000000000, "pairs per epoch"),
};

static lh_status get_item(void *user, int64_t index, void *const *fields) {
    dates_pair(*(const enum dates_part *)user, index, fields[0], fields[1]);
    return LH_OK;
}

static lh_status load(lh_ctx *c, enum dates_part part, int64_t length) {
    static const enum dates_part parts[] = {DATES_TRAIN, DATES_VAL, DATES_TEST};
    const lh_field fields[] = {LH_FIELD(LH_I64, 1, DATES_SOURCE),
                               LH_FIELD(LH_I64, 1, DATES_TARGET)};

    return lh_loader(c,
                     .dataset = lh_dataset_map(c, .length = length, .get_item = get_item,
                                               .user = (void *)&parts[part], .n_fields = 2,
                                               .fields = fields),
                     .batch_size = lh_hparam_int(c, "batch_size"), .shuffle = part == DATES_TRAIN);
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return load(c, DATES_TRAIN, lh_hparam_int(c, "train_length"));
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    return load(c, DATES_VAL, 2000);
}

static lh_status test_dataloader(lh_ctx *c, void *self) {
    return load(c, DATES_TEST, 10000);
}

const lh_datamodule dates_data = {
    LH_SIZED(lh_datamodule),
    LH_HPARAMS(hparams),
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
};
