/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction: what looks like a credential, and every value that was named as one, becomes "[redacted]" before
 * a byte is written, sent or reported.  It works on decoded strings, so that an escape in JSON hides nothing.
 * It is a net under an honest agent; an agent that means harm can encode what it holds, which is why it holds
 * nothing but the model's key.  Not thread-safe while values are added; reading is.
 */
#ifndef AM_RUNNER_REDACT_H
#define AM_RUNNER_REDACT_H

#include "core/base/buf.h"
#include "core/base/str.h"

struct am_node;
struct am_redactor;

struct am_redactor *am_runner_redactor_new(void) am_nodiscard_;
void am_runner_redactor_free(struct am_redactor *redactor);
/* Values under 6 bytes are ignored (they would shred every text).  A value of several lines (a private key) also counts
 * line by line. */
void am_runner_redactor_add(struct am_redactor *redactor, const char *value, size_t n);
/* Adds what another one has learned. */
void am_runner_redactor_merge(struct am_redactor *redactor, const struct am_redactor *from);
/* Adds the values of the variables in env (NULL: environ) whose names end like those of secrets. */
void am_runner_redactor_add_env(struct am_redactor *redactor, const char *const *env);
/* Appends the clean text; returns whether anything was replaced. */
bool am_runner_redact(const struct am_redactor *redactor, const char *p, size_t n, struct am_buf *out);
/* Appends value (checked JSON) with every string and key in it made clean. */
void am_runner_redact_json(const struct am_redactor *redactor, struct am_slice value, struct am_buf *out);
/* In place, for messages of errors: cut to size. */
void am_runner_redact_string(const struct am_redactor *redactor, char *text, size_t size);
/* What is to be cut is made clean before: of a secret that the cut goes through, the beginning would stay. */
void am_runner_redact_cut(const struct am_redactor *redactor, const char *p, size_t n, char *ret, size_t size);

#endif
