/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quantities ("100m", "1Gi", "1e3"): exact, in units of 10^-9, which is also where Kubernetes rounds up.  Values beyond
 * some 10^28 are refused; sums stop there.
 */
#ifndef AM_APISERVER_QUANTITY_H
#define AM_APISERVER_QUANTITY_H

#include "core/data/node.h"

enum am_quantity_form { AM_QUANTITY_DECIMAL, AM_QUANTITY_BINARY, AM_QUANTITY_EXPONENT };

struct am_quantity {
	__int128 nano;
	enum am_quantity_form form; /* how it was written, and is printed */
};

#define AM_QUANTITY_TEXT 72

bool am_quantity_parse(const char *text, size_t n, struct am_quantity *ret);
bool am_quantity_of(const struct am_node *node, struct am_quantity *ret); /* of a string or a number */
void am_quantity_int(int64_t value, struct am_quantity *ret);
/* sum += by; a sum that was zero takes the form of by. */
void am_quantity_add(struct am_quantity *sum, const struct am_quantity *by);
int am_quantity_cmp(const struct am_quantity *a, const struct am_quantity *b);
/* Up to whole thousandths, away from 0, as in all lists of resources. */
void am_quantity_to_milli(struct am_quantity *q);
/* Canonical: no fraction, the largest suffix. */
const char *am_quantity_print(const struct am_quantity *q, char text[AM_QUANTITY_TEXT]);

#endif
