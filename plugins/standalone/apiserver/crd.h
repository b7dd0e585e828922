/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about definitions share: rules that are asked both when one is written and when its status is. */
#ifndef AM_APISERVER_CRD_H
#define AM_APISERVER_CRD_H

#include "plugins/standalone/apiserver/admission.h"

/* admission_crd.c: groups of Kubernetes' own domains want an annotation that says who approved. */
enum am_crd_approval { AM_CRD_APPROVED, AM_CRD_UNAPPROVED, AM_CRD_APPROVAL_MISSING, AM_CRD_APPROVAL_INVALID };
bool am_crd_group_protected(const char *group);
/* text: why, or for an approved one where. */
enum am_crd_approval am_crd_approval_of(const struct am_node *crd, char *text, size_t n);

/* A path of /scale fits the buffers of scale.c. */
#define AM_SCALE_PATH_MAX 200

/* What all versions of a definition say alike.  A real server keeps that once, above the versions: it is judged once, and causes
 * name its place there. */
struct am_crd_shared {
	bool schema, subresources, columns, selectable;
	bool status; /* a version has the status subresource */
};
struct am_crd_shared am_crd_shared_by(const struct am_node *versions);
/* The path of the schema of version i. */
void am_crd_schema_path(const struct am_crd_shared *shared, int i, char *path, size_t n);
/* admission_crd_version.c: what a version says besides its schema; i is its index. */
void am_crd_check_version(struct am_change *change, const struct am_crd_shared *shared, const struct am_node *version, int i);

#endif
