/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the validation of pods.  `at` is always the path of what is looked at, for messages. */
#ifndef AM_APISERVER_ADMISSION_POD_H
#define AM_APISERVER_ADMISSION_POD_H

#include "core/base/map.h"
#include "plugins/standalone/apiserver/admission.h"

/* What must be there once, or must be there at all, in the whole pod. */
struct am_pod_names {
	struct am_map *containers, *volumes, *host_ports;
};

/* An annotation of the Node that this server's pods run on, as the node wrote it; "" when there is none (yet). */
const char *am_pod_node_says(struct am_change *change, const char *annotation);

/* admission_container.c */
void am_pod_check_container(struct am_change *change, const struct am_node *container, struct am_pod_names *names, bool init,
			    const char *at);
void am_pod_check_security(struct am_change *change, const struct am_node *context, const char *at);
void am_pod_check_field_ref(struct am_change *change, const struct am_node *ref, const char *at, bool volume);
void am_pod_check_resource_ref(struct am_change *change, const struct am_node *ref, const char *at, bool volume);
void am_pod_check_number(struct am_change *change, const struct am_node *object, const char *key, const char *at, int64_t min,
			 int64_t max);
/* An empty or missing value is fine. */
void am_pod_check_choice(struct am_change *change, const struct am_node *object, const char *key, const char *at,
			 const char *const *choices);
void am_pod_check_unique(struct am_change *change, struct am_map *seen, const char *value, const char *at);
bool am_pod_path_climbs(const char *path);                        /* has a component ".." */

/* admission_volume.c: also fills names->volumes. */
void am_pod_check_volumes(struct am_change *change, const struct am_node *spec, struct am_pod_names *names, const char *at);

#endif
