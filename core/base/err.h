/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of the core are struct ambient_error (include/ambient/error.h); these are the core's helpers. */
#ifndef AM_BASE_ERR_H
#define AM_BASE_ERR_H

#include <ambient/error.h>

#include "core/base/attr.h"

/* code from errno value (ENOENT -> NOTFOUND, ...); message "<text>: <strerror>". */
int am_err_errno(struct ambient_error *err, int errnum, const char *fmt, ...) am_printf_(3, 4);
/* Puts "text: " before the message that is there.  Returns -err->code. */
int am_err_prefix(struct ambient_error *err, const char *fmt, ...) am_printf_(2, 3);
const char *am_err_name(int code);       /* "NotFound"; also takes -code */
bool am_err_retryable(const struct ambient_error *err);

#endif
