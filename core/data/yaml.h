/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML to JSON text, by the YAML 1.2 JSON schema ("yes" stays a string), with limits: bytes, depth 64, no
 * duplicate keys, aliases at most 16 and never recursive.  Several documents are several calls of the callback.
 */
#ifndef AM_DATA_YAML_H
#define AM_DATA_YAML_H

#include "core/data/node.h"

typedef int am_yaml_f(void *arg, const char *json, size_t n, struct ambient_error *err);
int am_yaml_to_json(const char *text, size_t n, am_yaml_f *document, void *arg, struct ambient_error *err);
void am_yaml_from_node(const struct am_node *node, struct am_buf *out); /* block style, as kubectl -o yaml */

#endif
