/* SPDX-License-Identifier: Apache-2.0 */
/* JSON paths as columns of custom resources have them: names, indexes, slices, wildcards, unions, filters, "..". */
#ifndef AM_APISERVER_JSONPATH_H
#define AM_APISERVER_JSONPATH_H

#include "core/data/scan.h"

/* Whether that is a path, which begins with a dot. */
bool am_jsonpath_ok(const char *path);
/* The first value that the path leads to.  What is no path leads nowhere; so does what takes too many steps. */
bool am_jsonpath_find(struct am_slice object, const char *path, struct am_slice *ret);

#endif
