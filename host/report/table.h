/* table.h - the tables a person sees: a model's layers, the results of an evaluation. */
#ifndef LH_REPORT_TABLE_H
#define LH_REPORT_TABLE_H

#include "trainer/observer.h"

#include <jansson.h>
#include <stdio.h>

/* Lightning's summary: index, name, shape, parameters of each layer; totals; size in MB. */
void lh__summary_print(const lh__summary *s, FILE *out);

/* Lightning's table: one row per metric, one column per loader. Box lines are ASCII without
 * utf8. */
void lh__results_print(const lh__result *results, int32_t n, int utf8, FILE *out);

/* Models beside one another, a row each: [{"model": "mlp", "parameters": 101770, "seconds": 3.2,
 * "metrics": {"test_acc": 0.98}}, ...]. Metrics are columns, in order of first appearance. */
void lh__comparison_print(const json_t *models, int utf8, FILE *out);

/* {"stage": "test", "results": [{metric: value}, ...]}; values that are not finite are null. New
 * reference. */
json_t *lh__results_json(const lh__result *results, int32_t n);

/* 101770 -> "101 K", 1234567 -> "1.2 M", as Lightning writes counts. */
void lh__count_text(int64_t count, char *buf, size_t size);

#endif
